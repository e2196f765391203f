package buildkit

import (
	"ashlar/pkgtool/build"
	"ashlar/pkgtool/fault"
)

func init() {
	build.RegisterExecutor(build.FarmExecutor, func(o build.ExecutorOptions) (build.SlottedExecutor, error) {
		own := Options{TLS: TLS{o.CA, o.Cert, o.Key}, Cache: o.Cache, Report: o.Report}
		for _, text := range o.Addresses {
			d, err := ParseDaemon(text)
			if err != nil {
				return nil, fault.Mark(err, fault.Usage, "")
			}
			own.Daemons = append(own.Daemons, d)
		}
		f, err := New(own)
		if err != nil {
			return nil, fault.Mark(err, fault.Usage, "")
		}
		return f, nil
	})
}
