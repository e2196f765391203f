package trust

import (
	"bytes"
	"encoding/json"
	"fmt"

	"ashlar/repo/tuf"
)

// Contradiction is timestamp metadata of which two contents were signed under
// one version: somebody shows different states to different people, which takes
// the timestamp key.
type Contradiction struct {
	Version  int64
	Contents [2][]byte // both validly signed: evidence
}

func (c *Contradiction) Error() string {
	return fmt.Sprintf("another content of version %d was seen before, and both are signed", c.Version)
}

// signedPart is what signatures are over, in one form: white space and further
// signatures are anybody's to add.
func signedPart(data []byte) []byte {
	var m struct{ Signed any }
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.UseNumber()
	if err := decoder.Decode(&m); err != nil {
		return data
	}
	part, err := json.Marshal(m.Signed)
	if err != nil {
		return data
	}
	return part
}

// contradicted is the refusal of timestamp metadata if one of others is another
// content of the same version. All are verified.
func contradicted(data []byte, others ...[]byte) error {
	version := timestampVersion(data)
	for _, other := range others {
		if timestampVersion(other) == version && !bytes.Equal(signedPart(data), signedPart(other)) {
			return &tuf.Refusal{Kind: tuf.Contradictory, Err: &Contradiction{version, [2][]byte{other, data}}}
		}
	}
	return nil
}
