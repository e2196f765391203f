package recipe

// Phases are the lists of steps of a build, in the order they run. A phase
// given here replaces that of the style; before-X and after-X add to it.
type Phases struct {
	BeforePrepare   []Step `yaml:"before-prepare,omitempty"`
	Prepare         []Step `yaml:"prepare,omitempty" jsonschema_description:"Make the sources ready; patches are applied before."`
	AfterPrepare    []Step `yaml:"after-prepare,omitempty"`
	BeforeConfigure []Step `yaml:"before-configure,omitempty"`
	Configure       []Step `yaml:"configure,omitempty" jsonschema_description:"Choose what is built and where it goes."`
	AfterConfigure  []Step `yaml:"after-configure,omitempty"`
	BeforeBuild     []Step `yaml:"before-build,omitempty"`
	Build           []Step `yaml:"build,omitempty" jsonschema_description:"Compile."`
	AfterBuild      []Step `yaml:"after-build,omitempty"`
	BeforeCheck     []Step `yaml:"before-check,omitempty"`
	Check           []Step `yaml:"check,omitempty" jsonschema_description:"Test what was built."`
	AfterCheck      []Step `yaml:"after-check,omitempty"`
	BeforeInstall   []Step `yaml:"before-install,omitempty"`
	Install         []Step `yaml:"install,omitempty" jsonschema_description:"Install below $DESTDIR."`
	AfterInstall    []Step `yaml:"after-install,omitempty"`
}

// PhaseNames are the phases in the order they run.
var PhaseNames = []string{"prepare", "configure", "build", "check", "install"}

// phase gives access to the lists of one phase by its name.
func (p *Phases) phase(name string) (before, main, after *[]Step) {
	switch name {
	case "prepare":
		return &p.BeforePrepare, &p.Prepare, &p.AfterPrepare
	case "configure":
		return &p.BeforeConfigure, &p.Configure, &p.AfterConfigure
	case "build":
		return &p.BeforeBuild, &p.Build, &p.AfterBuild
	case "check":
		return &p.BeforeCheck, &p.Check, &p.AfterCheck
	}
	return &p.BeforeInstall, &p.Install, &p.AfterInstall
}

// Step is one thing to do: exactly one of run, exec and use.
type Step struct {
	Name string            `yaml:"name,omitempty" jsonschema_description:"What the log calls it."`
	Run  string            `yaml:"run,omitempty" expand:"-" jsonschema_description:"A bash script (-euo pipefail). Nothing in it is expanded by pkgtool; the values are in the environment."`
	Exec []string          `yaml:"exec,omitempty" jsonschema_description:"A program and its arguments, without a shell. ${env.NAME} is a variable of the step; in a pipeline ${inputs.NAME} is an input, and a list splices in."`
	Use  string            `yaml:"use,omitempty" jsonschema_description:"A pipeline, such as autotools/configure."`
	With map[string]any    `yaml:"with,omitempty" jsonschema_description:"Inputs of the pipeline."`
	Dir  string            `yaml:"dir,omitempty" jsonschema_description:"Folder to run in, below $SRCDIR; or ${env.BUILDDIR}. Default: $SRCDIR."`
	Env  map[string]string `yaml:"env,omitempty" jsonschema_description:"Further variables of this step."`
}

// Pipeline is a reusable list of steps with typed inputs, a file in
// recipes/pipelines/<group>/<name>.yaml.
type Pipeline struct {
	Summary string           `yaml:"summary" jsonschema_description:"One line that says what it does."`
	Inputs  map[string]Input `yaml:"inputs,omitempty" jsonschema_description:"What a step can say under with."`
	Tools   []string         `yaml:"tools,omitempty" jsonschema_description:"Build tools it needs; added to those of the recipe."`
	Steps   []Step           `yaml:"steps" jsonschema_description:"What it does; run and exec only."`

	file string
	pos  *positions
}

// Input is a parameter of a pipeline.
type Input struct {
	Type     string   `yaml:"type" jsonschema:"enum=string,enum=bool,enum=int,enum=list,enum=enum" jsonschema_description:"Kind of value."`
	Summary  string   `yaml:"summary,omitempty" jsonschema_description:"What it means."`
	Default  any      `yaml:"default,omitempty" jsonschema_description:"Value when the step gives none."`
	Values   []string `yaml:"values,omitempty" jsonschema_description:"Allowed values of an enum."`
	Required bool     `yaml:"required,omitempty" jsonschema_description:"The step must give a value."`
}

// Style fills the phases of recipes that build in a usual way, a file in
// recipes/pipelines/styles/<name>.yaml.
type Style struct {
	Summary string            `yaml:"summary" jsonschema_description:"One line that says for which sources it is."`
	Tools   []string          `yaml:"tools,omitempty" jsonschema_description:"Build tools it needs."`
	Env     map[string]string `yaml:"env,omitempty" jsonschema_description:"Variables for every step; those of the recipe win."`
	Phases  Phases            `yaml:"phases" jsonschema_description:"The phases a recipe gets unless it has its own."`

	file string
}
