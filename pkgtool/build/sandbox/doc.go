// Package sandbox runs the commands of a build in a root of its own, without
// privilege and without any tool of the host.
//
// The program that calls [Run] executes itself again (/proc/self/exe) as pid 1
// of new user, mount, pid, network, ipc, uts and cgroup namespaces; its main
// function therefore calls [MaybeInit] before anything else.
//
// In: a [Spec] with the folders that make up the root, folders to mount into
// it, commands, environment and limits. Out: the commands' output, and an error
// that tells a failed command ([ExitError]), a limit ([LimitError]) and a
// sandbox that could not be made ([SetupError]) apart.
//
// Promises: nothing of the host is visible but what the Spec names and the
// kernel's version and processors; no network but a loopback of its own; every
// process is gone when Run returns, also when the caller dies; chown succeeds
// and does nothing, unless root asks for the real owners ([Spec].Owners). Never:
// a setuid helper, a daemon, a second uid for a build.
package sandbox
