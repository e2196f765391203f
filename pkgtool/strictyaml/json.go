package strictyaml

import (
	"bytes"
	"encoding/json"
)

func indentJSON(out *bytes.Buffer, raw []byte) error {
	if err := json.Indent(out, raw, "", "  "); err != nil {
		return err
	}
	return out.WriteByte('\n')
}
