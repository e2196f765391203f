package fault

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
)

func TestClassAndHintsSurviveWrapping(t *testing.T) {
	inner := Mark(io.ErrUnexpectedEOF, Security, "fetch it again")
	err := fmt.Errorf("open x: %w", errors.Join(errors.New("other"), inner))
	if ClassOf(err) != Security {
		t.Errorf("class %d", ClassOf(err))
	}
	if !slices.Equal(Hints(err), []string{"fetch it again"}) {
		t.Errorf("hints %q", Hints(err))
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("cause lost")
	}
	if ClassOf(io.EOF) != Failed || Mark(nil, Usage, "x") != nil {
		t.Error("defaults")
	}
}
