package cli

import (
	"errors"
	"os"
	"path/filepath"

	"ashlar/pkgtool/build"
	shared "ashlar/pkgtool/build/remote"
	"ashlar/pkgtool/fault"
	"ashlar/signing"
	"ashlar/signing/kmod"

	"github.com/spf13/cobra"
)

// sharedVariable names the environment variable with the URL of the build cache.
const sharedVariable = "ASHLAR_BUILD_CACHE"

// sharedOptions say which cache a build shares with others.
type sharedOptions struct {
	url                string
	keys               []string
	push               bool
	interfaces, strict bool
}

func (o *sharedOptions) flags(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&o.url, "cache", "", "shared build cache: a folder or URL, or none; default $"+sharedVariable+", else what cache.yaml says")
	flags.StringArrayVar(&o.keys, "cache-key", nil, "file of public keys of builders whose results count, besides the own key")
}

// buildFlags are those of commands that build.
func (o *sharedOptions) buildFlags(cmd *cobra.Command) {
	o.flags(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&o.push, "push", false, "give what is built to the shared build cache, signed")
	flags.BoolVar(&o.interfaces, "interface-digests", false, "do not build again for a library of which only the code changed")
	flags.BoolVar(&o.strict, "strict", false, "build again for every change of a library, whatever cache.yaml says")
	cmd.MarkFlagsMutuallyExclusive("interface-digests", "strict")
}

// config reads the configuration for a folder of recipes.
func (o *sharedOptions) config(recipes string) (*shared.Config, error) {
	return shared.ReadConfig(filepath.Join(filepath.Dir(signing.DefaultDir()), "build-cache.yaml"), filepath.Join(recipes, shared.ConfigName))
}

// open gives the engine its shared cache; signer is the packager's key.
func (o *sharedOptions) open(engine *build.Engine, recipes string, signer *signing.PrivateKey) (*shared.Config, error) {
	config, err := o.config(recipes)
	if err != nil {
		return nil, err
	}
	engine.Interfaces = (config.Interface || o.interfaces) && !o.strict
	url := config.URL
	if env := os.Getenv(sharedVariable); env != "" {
		url = env
	}
	if o.url != "" {
		url = o.url
	}
	if url == "" || url == "none" {
		if o.push {
			return nil, fault.Mark(errors.New("--push: no shared build cache is named"), fault.Usage, "name it with --cache, $"+sharedVariable+" or url in cache.yaml")
		}
		return config, nil
	}
	store, err := shared.Open(url)
	if err != nil {
		return nil, err
	}
	config.URL = store.String()
	for _, file := range o.keys {
		abs, err := filepath.Abs(file)
		if err != nil {
			return nil, err
		}
		config.Keys = append(config.Keys, abs)
	}
	var own []*signing.PublicKey
	if signer != nil {
		own = append(own, signer.Public())
	}
	allowed, err := config.Keyring(own...)
	if err != nil {
		return nil, err
	}
	engine.Shared = &build.Shared{Store: store, Keys: allowed, Threshold: config.Threshold}
	if o.push || config.Push {
		engine.Shared.Push = signer
	}
	return config, nil
}

// packagerKey is the key that signs packages and results, made on first use.
func packagerKey(app *App) (*signing.PrivateKey, error) {
	store, err := signing.OpenStore(signing.DefaultDir())
	if err != nil {
		return nil, err
	}
	signer, made, err := store.EnsureDefault()
	if made {
		app.Say("made a development key in %s; pkgtool key shows it", store.Dir())
	}
	return signer, err
}

// moduleKey is the key that kernel modules are signed with.
func moduleKey(app *App) (*kmod.Key, error) {
	dir := signing.DefaultDir()
	key, made, err := kmod.Open(dir)
	if made {
		app.Say("made a key for kernel modules in %s; its certificate %s is for Secure Boot's db, or mokutil --import", dir, kmod.CertificateFile)
	}
	return key, err
}
