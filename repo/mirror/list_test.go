package mirror

import (
	"maps"
	"testing"
	"testing/quick"
)

func TestListKeepsEverything(t *testing.T) {
	err := quick.Check(func(refs uint16, retired int64, size uint32, present bool) bool {
		l := newList()
		l.base["index/stable.x86_64.zst"] = "ab"
		l.objects["pool/a/a b/c"] = held{int64(size), int(refs), present, retired}
		l.objects["index/x"] = held{size: 1}
		data, err := l.encode()
		if err != nil {
			return false
		}
		got, err := decodeList(data)
		return err == nil && maps.Equal(got.base, l.base) && maps.Equal(got.objects, l.objects)
	}, nil)
	if err != nil {
		t.Error(err)
	}
}

func FuzzDecodeList(f *testing.F) {
	l := newList()
	l.base["index/stable.x86_64.zst"] = "ab"
	l.objects["pool/a/a/b"] = held{1, 2, true, 3}
	data, err := l.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := decodeList(data)
		if err != nil {
			return
		}
		again, err := l.encode()
		if err != nil {
			t.Fatal(err)
		}
		if second, err := decodeList(again); err != nil || !maps.Equal(second.objects, l.objects) {
			t.Errorf("%d objects, %v", len(l.objects), err)
		}
	})
}
