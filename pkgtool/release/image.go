package release

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"ashlar/iso"
	"ashlar/iso/tree"
	"ashlar/pkgtool/build"
	"ashlar/pkgtool/build/recipe"
	"ashlar/pkgtool/build/source"
	"ashlar/pkgtool/fault"
	"ashlar/pkgtool/install"
	"ashlar/pkgtool/pkgfile"
	"ashlar/pkgtool/version"
	"ashlar/repo"
	"ashlar/signing"
	"ashlar/signing/kmod"
	"ashlar/signing/secureboot"
)

// channel is what a release publishes to.
const channel = "stable"

// DefaultRepository is the name of the repository when the image names none.
const DefaultRepository = "ashlar"

// Options of a release.
type Options struct {
	Recipes  string            // folder of the recipes
	Image    *iso.Image        // what to make
	Formats  []string          // of it; nil means those of the definition
	Out      string            // folder for packages/, repo/ and the image
	Keys     string            // folder of private keys; "" is the user's
	Engine   *build.Engine     // nil opens one for Recipes; Out and Signer are set here
	Progress func(step string) // called when a step of the release begins; may be nil
}

// Result is what a release made.
type Result struct {
	Image       *iso.Result       `json:"image"`  // the first of Images
	Images      []*iso.Result     `json:"images"` // one for each format
	Packages    []build.Built     `json:"packages"`
	Repository  string            `json:"repository"` // folder
	Publication *repo.Publication `json:"publication"`
	Medium      *Medium           `json:"medium,omitempty"`   // the repository on the ISO, if it has one
	Installed   []string          `json:"installed"`          // packages in the image, name and version
	Phases      []Phase           `json:"phases"`             // what took how long, in order
	KeyMade     string            `json:"key_made,omitempty"` // fingerprint, if the user had no key
	Boot        string            `json:"boot,omitempty"`     // the command that starts the image
}

// Image builds, signs, publishes and assembles.
func Image(ctx context.Context, o Options) (*Result, error) {
	r := &release{Options: o, result: &Result{}}
	var took phases
	r.Progress = func(step string) {
		took.begin(step)
		if o.Progress != nil {
			o.Progress(step)
		}
	}
	if r.Keys == "" {
		r.Keys = signing.DefaultDir()
	}
	for _, step := range []func(context.Context) error{r.openKey, r.build, r.publish, r.assemble} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	took.begin("")
	r.result.Phases = took.list
	return r.result, nil
}

// release is one run.
type release struct {
	Options
	key    *signing.PrivateKey
	groups map[string]install.Group // of the recipes
	result *Result

	documents [][]byte // advisories about what was built
}

func (r *release) openKey(context.Context) error {
	store, err := signing.OpenStore(r.Keys)
	if err != nil {
		return err
	}
	var made bool
	if r.key, made, err = store.EnsureDefault(); err != nil {
		return err
	}
	if made {
		r.result.KeyMade = r.key.Fingerprint()
	}
	return nil
}

// build makes the packages of the image, of its tools and of what it offers.
func (r *release) build(ctx context.Context) error {
	if r.Engine == nil {
		var err error
		if r.Engine, err = build.Open(r.Recipes); err != nil {
			return err
		}
	}
	if err := r.Engine.KernelFragments(r.Image.Kernel, r.Image.FragmentFiles()...); err != nil {
		return fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	r.Engine.Modules = sync.OnceValues(func() (*kmod.Key, error) {
		key, _, err := kmod.Open(r.Keys)
		return key, err
	})
	if err := r.Image.Expand(r.Engine.Tree.Group); err != nil {
		return err
	}
	if err := r.readGroups(); err != nil {
		return err
	}
	r.Engine.Out, r.Engine.Signer = filepath.Join(r.Out, "packages"), r.key
	names, err := r.recipes()
	if err != nil {
		return err
	}
	r.Progress("build packages")
	if r.result.Packages, err = r.Engine.Build(ctx, names); err != nil {
		return err
	}
	r.documents, err = r.advisories()
	return err
}

// recipes returns the names of the recipes to build: those of what the image
// asks for, and of what their packages need at run time by name. Needs that
// packages get automatically lead to recipes built before them anyway.
func (r *release) recipes() ([]string, error) {
	wanted, err := r.Image.Dependencies()
	if err != nil {
		return nil, err
	}
	offered, err := r.Image.Offered()
	if err != nil {
		return nil, err
	}
	carried, err := r.Image.Carried()
	if err != nil {
		return nil, err
	}
	names := slices.Clone(r.Image.Tools())
	for _, d := range slices.Concat(wanted, offered, carried) {
		names = append(names, d.Name)
	}
	var recipes []string
	seen := map[string]bool{}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		if seen[name] {
			continue
		}
		seen[name] = true
		o := r.Engine.Tree.Package(name)
		if o == nil {
			_, err := r.Engine.Tree.Recipe(name) // says what is near, or what is wrong with it
			if err == nil {
				err = fault.Errorf(fault.Usage, "recipe %s makes no package of that name", name)
			}
			return nil, fmt.Errorf("image %s: %w", r.Image.Name, err)
		}
		if !slices.Contains(recipes, o.Recipe.Name) {
			recipes = append(recipes, o.Recipe.Name)
		}
		names = append(names, runtimeNeeds(o)...)
	}
	slices.Sort(recipes)
	return recipes, nil
}

func runtimeNeeds(o *recipe.Owned) (names []string) {
	for _, text := range slices.Concat(o.Package.Depends, o.Package.Recommends) {
		if d, err := version.ParseDependency(text); err == nil && !version.IsCapability(d.Name) {
			names = append(names, d.Name)
		}
	}
	return names
}

// repositoryName is the first repository of the image's systems: the one that
// is made here.
func (r *release) repositoryName() string {
	if len(r.Image.Repositories) > 0 {
		return r.Image.Repositories[0].Name
	}
	return DefaultRepository
}

func (r *release) publish(ctx context.Context) error {
	r.Progress("publish the repository")
	dir := filepath.Join(r.Out, "repo")
	r.result.Repository = dir
	repository, err := repo.Init(ctx, dir, repo.Settings{Name: r.repositoryName(), Development: true,
		Packagers: []*signing.PublicKey{r.key.Public()}}, repo.Options{Keys: r.Keys})
	if err != nil {
		return err
	}
	var files []string
	for _, b := range r.result.Packages {
		files = append(files, b.Path)
	}
	if _, err := repository.Add(ctx, channel, files...); err != nil {
		return err
	}
	if _, err := repository.AddNewerAdvisories(ctx, r.documents...); err != nil {
		return err
	}
	r.result.Publication, err = repository.Publish(ctx)
	return err
}

// advisories are those of the recipes that were built.
func (r *release) advisories() ([][]byte, error) {
	var recipes []*recipe.Recipe
	for _, b := range r.result.Packages {
		one, err := r.Engine.Tree.Recipe(b.Recipe)
		if err != nil {
			return nil, err
		}
		if !slices.Contains(recipes, one) {
			recipes = append(recipes, one)
		}
	}
	return Advisories(recipes...)
}

func (r *release) assemble(ctx context.Context) error {
	cache, err := source.DefaultCacheDir()
	if err != nil {
		return err
	}
	set, err := r.open()
	if err != nil {
		return err
	}
	defer set.close()
	live, err := set.solve(ctx, r.Image)
	if err != nil {
		return fmt.Errorf("image %s: %w", r.Image.Name, err)
	}
	for _, p := range live {
		r.result.Installed = append(r.result.Installed, title(p))
	}
	tools, err := set.named(r.Image.Tools())
	if err != nil {
		return err
	}
	root, err := repo.ReadRoot(r.result.Repository)
	if err != nil {
		return err
	}
	// No mirror may show the image a state before the one that it was made of.
	floor, err := os.ReadFile(filepath.Join(r.result.Repository, repo.TimestampPath))
	if err != nil {
		return err
	}
	trusted := func(repository, name string, data []byte) tree.Entry {
		return tree.Entry{Path: "etc/pkgtool/trust/" + repository + "/" + name, Perm: 0o644, Size: int64(len(data)), Open: tree.Bytes(data)}
	}
	groups, err := r.groupsFile(set)
	if err != nil {
		return err
	}
	files := []tree.Entry{trusted(r.repositoryName(), "root.json", root.Data), trusted(r.repositoryName(), "timestamp.json", floor), groups}
	r.result.Images = nil
	formats := r.Formats
	if len(formats) == 0 {
		formats = r.Image.Formats
	}
	owner, err := r.owner()
	if err != nil {
		return err
	}
	for _, name := range formats {
		format, err := iso.FormatOf(name)
		if err != nil {
			return fault.Mark(err, fault.Usage, "")
		}
		request := iso.Request{Image: r.Image, Format: name, Packages: live, Tools: tools, Files: files,
			Output: filepath.Join(r.Out, "ashlar-"+r.Image.Name+format.Ending), Cache: cache, Progress: r.Progress, SecureBoot: owner}
		if format.Medium && len(r.Image.Medium) > 0 {
			dir, root, err := r.medium(ctx, set, live, tools)
			if err != nil {
				return fmt.Errorf("image %s: %w", r.Image.Name, err)
			}
			request.Medium = dir
			request.Files = append(slices.Clone(files), trusted(iso.MediumRepository, "root.json", root))
		}
		made, err := iso.Build(ctx, request)
		if err != nil {
			return err
		}
		r.result.Images = append(r.result.Images, made)
		if r.result.Boot == "" && format.Starts() {
			r.result.Boot = "pkgtool boot " + request.Output
		}
	}
	r.result.Image = r.result.Images[0]
	return nil
}

// readGroups takes over the groups of the recipes.
func (r *release) readGroups() error {
	r.groups = map[string]install.Group{}
	for _, name := range r.Engine.Tree.Groups() {
		packages, err := r.Engine.Tree.Group(name)
		if err != nil {
			return err
		}
		r.groups[name] = install.Group{Summary: r.Engine.Tree.GroupSummary(name), Packages: packages}
	}
	return nil
}

// groupsFile names the groups whose packages are all in the repository.
func (r *release) groupsFile(set *packageSet) (tree.Entry, error) {
	published := map[string]bool{}
	for _, p := range set.opened {
		published[p.Manifest().Name] = true
	}
	file := install.Groups{Schema: 1, Groups: map[string]install.Group{}}
	for name, group := range r.groups {
		if !slices.ContainsFunc(group.Packages, func(p string) bool { return !published[p] }) {
			file.Groups[name] = group
		}
	}
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return tree.Entry{}, err
	}
	data = append(data, '\n')
	return tree.Entry{Path: install.GroupsPath, Perm: 0o644, Size: int64(len(data)), Open: tree.Bytes(data)}, nil
}

// owner returns whose machines start the image under Secure Boot, nil if it is not
// to be signed. Keys are made on first use.
func (r *release) owner() (*iso.SecureBoot, error) {
	if !r.Image.SecureBoot {
		return nil, nil
	}
	key, _, err := secureboot.Open(r.Keys)
	if err != nil {
		return nil, err
	}
	modules, _, err := kmod.Open(r.Keys)
	if err != nil {
		return nil, err
	}
	return &iso.SecureBoot{Key: key, Certificates: [][]byte{modules.Certificate()}}, nil
}

// open opens the packages of this run and verifies that the user's key signed
// each.
func (r *release) open() (*packageSet, error) {
	keyring, err := signing.NewKeyring(r.key.Public())
	if err != nil {
		return nil, err
	}
	set := &packageSet{byID: map[string]*pkgfile.Package{}}
	for _, b := range r.result.Packages {
		p, err := pkgfile.OpenFile(b.Path)
		if err == nil {
			set.opened = append(set.opened, p)
			_, err = p.VerifySignature(keyring, signing.Policy{})
		}
		if err != nil {
			set.close()
			return nil, fmt.Errorf("%s: %w", b.Path, err)
		}
		if err := set.add(p); err != nil {
			set.close()
			return nil, err
		}
	}
	return set, nil
}
