package pkgfile

import (
	"reflect"
	"slices"
	"strings"
	"testing"
)

// No field of a manifest can differ unnoticed.
func TestCompareNoticesEveryField(t *testing.T) {
	base := *open(t, write(t, manifest(), smallZoo(), Options{})).Manifest()
	if d := Compare(&base, &base); !d.Empty() {
		t.Errorf("equal packages differ: %+v", d)
	}
	typ := reflect.TypeFor[Manifest]()
	for i := range typ.NumField() {
		other, name := base, typ.Field(i).Name
		switch f := reflect.ValueOf(&other).Elem().Field(i); f.Interface().(type) {
		case string:
			f.SetString("other")
		case bool:
			f.SetBool(!f.Bool())
		case int, int64:
			f.SetInt(f.Int() + 1)
		case uint32:
			f.SetUint(f.Uint() + 1)
		case []string:
			f.Set(reflect.ValueOf([]string{"other"}))
		case []Trigger:
			other.Triggers = []Trigger{{Name: "t"}}
		case Provenance:
			other.Provenance.Action = "x"
		case []Frame:
			other.Frames = slices.Clone(base.Frames)
			other.Frames[0].SHA256 = "x"
		case []File:
			other.Files = base.Files[1:]
		default:
			t.Fatalf("field %s of type %T", name, f.Interface())
		}
		if d := Compare(&base, &other); len(d.Fields)+len(d.Lists)+len(d.Files) != 1 {
			t.Errorf("a changed %s is reported as %+v", name, d)
		}
	}
}

func TestCompareNoticesEveryChangeOfAFile(t *testing.T) {
	base := *open(t, write(t, manifest(), smallZoo(), Options{})).Manifest()
	place := slices.IndexFunc(base.Files, func(f File) bool { return f.Path == "usr/bin/ping" })
	for want, change := range map[string]func(*File){
		"type":      func(f *File) { f.Type = TypeDir },
		"target":    func(f *File) { f.Target = "x" },
		"content":   func(f *File) { f.SHA256 = emptySHA256 },
		"mode":      func(f *File) { f.Mode = 0o4755 },
		"owner":     func(f *File) { f.Owner = "x" },
		"group":     func(f *File) { f.Group = "x" },
		"xattrs":    func(f *File) { f.Xattrs = map[string][]byte{"security.capability": {2}, "user.note": []byte("n")} },
		"config":    func(f *File) { f.Config = true },
		"":          func(f *File) { f.Frame, f.Offset = 7, 9 },
		"hard link": nil, // changed by its target
	} {
		other := base
		other.Files = slices.Clone(base.Files)
		if change != nil {
			change(&other.Files[place])
		} else {
			other.File("usr/bin/again").SHA256 = emptySHA256
		}
		got := Compare(&base, &other).Files
		switch {
		case change == nil && (len(got) != 2 || got[0].Path != "usr/bin/again" || got[1].Path != "usr/bin/demo"):
			t.Errorf("hard link: %+v", got)
		case want == "" && len(got) > 0:
			t.Errorf("the place in the archive is reported as %+v", got)
		case want != "" && change != nil && (len(got) != 1 || strings.Join(got[0].Differs, ",") != want):
			t.Errorf("%s is reported as %+v", want, got)
		}
	}
}

func TestCompareFindsWhatCameAndWent(t *testing.T) {
	m := manifest()
	m.Requires = []string{"bash", "zsh"}
	from := open(t, write(t, m, []Input{file("a", ""), file("c", ""), file("e", "")}, Options{})).Manifest()
	m.Requires = []string{"bash >=5", "zsh"}
	to := open(t, write(t, m, []Input{file("b", ""), file("c", ""), file("d", ""), file("f", "")}, Options{})).Manifest()
	d := Compare(from, to)
	got := ""
	for _, c := range d.Files {
		switch {
		case c.From == nil:
			got += "+" + c.Path
		case c.To == nil:
			got += "-" + c.Path
		}
	}
	if got != "-a+b+d-e+f" || len(d.Files) != 5 {
		t.Errorf("%s %+v", got, d.Files)
	}
	if want := []ListChange{{"requires", []string{"bash"}, []string{"bash >=5"}}}; !reflect.DeepEqual(d.Lists, want) {
		t.Errorf("%+v", d.Lists)
	}
}
