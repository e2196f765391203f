package cases

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// decodeObject decodes one JSON object. It returns the first unknown field, if
// there is any; such fields are passed over.
func decodeObject(text []byte, into any) (unknown string, err error) {
	if len(text) == 0 || text[0] != '{' {
		return "", fmt.Errorf("%.40q is not a JSON object", text)
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err = decoder.Decode(into)
	if err != nil && strings.HasPrefix(err.Error(), "json: unknown field ") {
		unknown = strings.Trim(strings.TrimPrefix(err.Error(), "json: unknown field "), `"`)
		decoder = json.NewDecoder(bytes.NewReader(text))
		err = decoder.Decode(into)
	}
	if err != nil {
		return "", wording(err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return "", errors.New("there is more than one JSON object")
	}
	return unknown, nil
}

// wording says in a user's words what is wrong with a JSON text.
func wording(err error) error {
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &kind) && kind.Field != "":
		return fmt.Errorf("the field %q cannot be a %s", kind.Field, kind.Value)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the JSON text ends too early")
	}
	return fmt.Errorf("no valid JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}
