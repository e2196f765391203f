package build

// Kind is what an [Event] tells.
type Kind string

// The kinds of events.
const (
	Fetching  Kind = "fetching"  // a source: Text is its name, Done and Total bytes
	Waiting   Kind = "waiting"   // for something outside: Text
	Started   Kind = "building"  // Text says why
	Phase     Kind = "phase"     // a build enters a phase: Text
	Testing   Kind = "testing"   // a test of the finished packages: Text is its name
	Packaging Kind = "packaging" // what was installed is divided into packages
	Done      Kind = "built"     // Seconds
	Cached    Kind = "cached"    // nothing to do
	Failed    Kind = "failed"    // Text is the reason
	Stopping  Kind = "stopping"  // the caller wants the run to end; the builds at work are ended
	Stopped   Kind = "stopped"   // a build was ended, by the caller or because another one failed
	Progress  Kind = "progress"  // of the run: Done of Total recipes, about Seconds are left
	Resumed   Kind = "resumed"   // a build goes on with the step Text
	Skipped   Kind = "skipped"   // Text names what failed before
	Received  Kind = "received"  // its packages come from the shared cache: Text says how much
	Pushed    Kind = "pushed"    // its packages were given to the shared cache: Text
	Warning   Kind = "warning"   // something is wrong that does not stop the build: Text
)

// Event is told to the user of an engine while it works.
type Event struct {
	Kind        Kind    `json:"kind"`
	Recipe      string  `json:"recipe"`
	Text        string  `json:"text,omitempty"`
	Seconds     float64 `json:"seconds,omitempty"`
	Done, Total int64   `json:"-"`
}

func (e *Engine) report(ev Event) {
	if e.Report != nil {
		e.Report(ev)
	}
}
