package install

import (
	"path/filepath"
	"testing"

	"ashlar/pkgtool/fault"
	"ashlar/repo/repotest"
)

// One repository alone can be asked, whatever the others say; what it lacks is
// then unsolvable, so that a caller can go on to ask all.
func TestOneRepositoryAlone(t *testing.T) {
	p := newPlace(t)
	p.publish("app-1.0.0-1")
	p.write(filepath.Join(p.root, "etc/pkgtool/repositories.d/dead.yaml"), "schema: 1\nname: dead\nurls: [\"http://127.0.0.1:1/\"]\n")
	p.write(filepath.Join(p.root, "etc/pkgtool/trust/dead/root.json"), string(repotest.Root(p, p.folder)))
	if _, err := p.try(Options{}, Request{Install: []string{"app"}}); fault.ClassOf(err) != fault.Network {
		t.Errorf("with a repository that is away: %v", err)
	}
	if _, err := p.try(Options{Only: "test"}, Request{Install: []string{"other"}}); fault.ClassOf(err) != fault.Unsolvable {
		t.Errorf("what the one repository lacks: %v", err)
	}
	if _, err := p.try(Options{Only: "test"}, Request{Install: []string{"app"}}); err != nil {
		t.Error(err)
	}
}
