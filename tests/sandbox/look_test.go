package sandbox

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// secrets are variables of the host that builds must not see.
var secrets = strings.Fields(`AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AZURE_CLIENT_SECRET GOOGLE_APPLICATION_CREDENTIALS
	GITHUB_TOKEN GH_TOKEN GITLAB_TOKEN CI_JOB_TOKEN BITBUCKET_TOKEN NPM_TOKEN PYPI_TOKEN TWINE_PASSWORD CARGO_REGISTRY_TOKEN DOCKER_PASSWORD
	DOCKER_AUTH_CONFIG KUBECONFIG VAULT_TOKEN SSH_AUTH_SOCK SSH_AGENT_PID GPG_AGENT_INFO GNUPGHOME DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR
	HTTP_PROXY HTTPS_PROXY ALL_PROXY PGPASSWORD MYSQL_PWD REDIS_PASSWORD DATABASE_URL SLACK_TOKEN STRIPE_KEY SENTRY_DSN JENKINS_TOKEN
	BUILDKITE_AGENT_TOKEN COSIGN_PASSWORD SIGNING_KEY LD_PRELOAD_SECRET ASHLAR_BUILD_CACHE_TOKEN`)

// TestLook is S01 to S15 and S31: what a build can see and do from inside.
func TestLook(t *testing.T) {
	each(t, func(w *world) {
		t := w.T
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		check(t, err)
		defer tcp.Close()
		go answer(tcp)
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		check(t, err)
		defer udp.Close()
		abstract, err := net.Listen("unix", "@ashlar-canary-"+filepath.Base(w.dir))
		check(t, err)
		defer abstract.Close()
		socket, err := net.Listen("unix", w.path("canary/socket"))
		check(t, err)
		defer socket.Close()
		open, err := os.Open(w.path("canary/secret"))
		check(t, err)
		defer open.Close()
		w.extra = []*os.File{open}
		for _, name := range secrets {
			w.env = append(w.env, name+"="+secret)
		}
		mark := "ashlar-mark-" + filepath.Base(w.dir)
		w.act("look", "", "look", fmt.Sprintf("pid=%d", os.Getpid()), "canary="+w.path("canary"), "keys="+w.path("keys/canary"), "mark="+mark,
			"tcp="+tcp.Addr().String(), "udp="+udp.LocalAddr().String(), `"abstract=@ashlar-canary-`+filepath.Base(w.dir)+`"`)
		log := w.built("look")
		acts, facts := report(log)
		one := func(t *testing.T, name, want string) {
			t.Helper()
			if got := strings.Join(facts[name], ","); got != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		sub := func(name string, fn func(t *testing.T)) { t.Helper(); t.Run(name, fn) }
		sub("S01 files of the host", func(t *testing.T) {
			denied(t, acts, "read /etc/shadow", "read /etc/ssh/ssh_host_ed25519_key", "read /root/.ssh/id_ed25519", "read /root/.bashrc", "read canary", "list canary", "metadata")
			one(t, "homes", "0")
		})
		sub("S02 writing outside", func(t *testing.T) {
			for _, dir := range []string{"/usr", "/var", "/tmp", "/etc", "/", "/opt"} {
				if _, err := os.Lstat(filepath.Join(dir, mark)); err == nil {
					t.Errorf("%s of the host was written to", dir)
				}
			}
			entries, err := os.ReadDir(w.path("canary"))
			if err != nil || len(entries) != 2 {
				t.Errorf("the canary's folder: %v, %v", entries, err)
			}
			denied(t, acts, "write to /sources", "write to /recipe")
		})
		sub("S03 network", func(t *testing.T) {
			denied(t, acts, "tcp to the host", "udp to the host", "tcp to the world", "udp to the world", "dns", "raw socket", "packet socket")
		})
		sub("S04 abstract sockets", func(t *testing.T) { denied(t, acts, "abstract socket") })
		sub("S05 sockets with a path", func(t *testing.T) {
			denied(t, acts, "socket docker.sock", "socket system_bus_socket", "socket private", "socket socket")
		})
		sub("S06 environment", func(t *testing.T) {
			if len(secrets) < 40 || strings.Contains(log, secret) {
				t.Errorf("%d variables; the log:\n%s", len(secrets), log)
			}
			for _, entry := range facts["env"] {
				for _, name := range secrets {
					if strings.HasPrefix(entry, name+"=") {
						t.Errorf("%s is visible", name)
					}
				}
			}
		})
		sub("S07 descriptors", func(t *testing.T) { one(t, "fd", "0 /dev/null,1 pipe,2 pipe") })
		sub("S08 processes", func(t *testing.T) {
			one(t, "processes", "2")
			denied(t, acts, "look into pid 1")
			if acts["signal the host"] != "no such process" || acts["trace the host"] == "possible" {
				t.Errorf("signal: %q, trace: %q", acts["signal the host"], acts["trace the host"])
			}
		})
		sub("S09 user", func(t *testing.T) {
			one(t, "Uid", "0 0 0 0")
			one(t, "NoNewPrivs", "1")
			one(t, "setuid", "[]")
		})
		sub("S10 powers", func(t *testing.T) {
			denied(t, acts, "mount", "umount", "pivot_root", "unshare")
			// CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT SETFCAP
			one(t, "CapEff", "00000000800404ff")
			one(t, "CapBnd", "00000000800404ff")
		})
		sub("S11 devices", func(t *testing.T) {
			one(t, "dev", "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero")
			denied(t, acts, "mknod")
		})
		sub("S12 system calls", func(t *testing.T) {
			one(t, "Seccomp", "2")
			for name, result := range acts {
				if call, ok := strings.CutPrefix(name, "call "); ok && result != "operation not permitted" && result != "function not implemented" {
					t.Errorf("%s: %s", call, result)
				}
			}
			denied(t, acts, "call keyctl", "call bpf", "call perf_event_open", "call kexec_load", "call init_module", "call io_uring_setup", "sethostname", "settime")
		})
		sub("S13 settings of the kernel", func(t *testing.T) {
			denied(t, acts, "see /sys", "write /proc/sys/kernel/core_pattern", "write /proc/sys/kernel/hostname", "write /proc/sysrq-trigger")
		})
		sub("S14 surroundings", func(t *testing.T) {
			one(t, "hostname", "builder")
			one(t, "umask", "022")
			one(t, "zone", "UTC")
			denied(t, acts, "read /etc/machine-id", "read /sys/class/dmi/id/product_name")
			all := "," + strings.Join(facts["env"], ",") + ","
			for _, want := range []string{",LANG=C.UTF-8,", ",LC_ALL=C.UTF-8,", ",TZ=UTC,", ",HOME=/build,"} {
				if !strings.Contains(all, want) {
					t.Errorf("want %s in %s", want, all)
				}
			}
		})
		sub("S15 clock", func(t *testing.T) {
			if !strings.Contains(strings.Join(facts["env"], ","), "SOURCE_DATE_EPOCH=1768003200") {
				t.Errorf("environment %q", facts["env"])
			}
		})
		sub("S31 keys", func(t *testing.T) { denied(t, acts, "read key") })
		w.sub("S30 the cache", func(w *world) {
			t := w.T
			// The file of the seed that this build has changed is whole in the next.
			w.recipe("next", "phases:\n  install:\n    - run: |\n        mkdir -p $DESTDIR/usr/share\n        cp /usr/share/seed $DESTDIR/usr/share/seed\nbuild: {strip: false, debug: false}\n")
			if acts["change the seed"] != "possible" {
				t.Errorf("the root is not the build's own: %s", acts["change the seed"])
			}
			w.built("next")
			if out, err := w.command("cache", "verify").CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			installed, err := filepath.Glob(w.path("cache/build/installed/next-*/usr/share/seed"))
			if err != nil || len(installed) != 1 {
				t.Fatal(installed, err)
			}
			if text, err := os.ReadFile(installed[0]); err != nil || string(text) != "of the seed" {
				t.Errorf("%q, %v", text, err)
			}
		})
	})
}

func answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Write([]byte("x"))
		c.Close()
	}
}
