package kconfig

import "math/big"

// numbers reads both words as decimal or 0x numbers.
func numbers(a, b string) (x, y *big.Int, ok bool) {
	const longest = 40 // no value of a kernel configuration is longer
	if len(a) > longest || len(b) > longest {
		return nil, nil, false
	}
	x, okX := new(big.Int).SetString(a, 0)
	y, okY := new(big.Int).SetString(b, 0)
	return x, y, okX && okY
}
