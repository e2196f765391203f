package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"ashlar/repo/repotest"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Real programs that nobody here wrote look at the pages: Chromium, tidy and w3m.

// chromium starts a browser that is closed at the end of the test.
func chromium(t *testing.T) context.Context {
	t.Helper()
	program, err := exec.LookPath("chromium-headless-shell")
	if err != nil {
		t.Fatal("chromium-headless-shell is not installed; run pkgtool/bootstrap.sh test")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.UserDataDir(t.TempDir()))
	if os.Getuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium's own does not work for root; it visits only this test
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	return ctx
}

// complaints collects what the browser says about the pages it shows.
type complaints struct {
	mu    sync.Mutex
	texts []string
}

func listen(t *testing.T, ctx context.Context) *complaints {
	t.Helper()
	c := &complaints{}
	err := chromedp.Listen(ctx, func(event any) {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			c.texts = append(c.texts, "exception: "+e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			c.texts = append(c.texts, "console: "+string(e.Type))
		case *log.EventEntryAdded:
			c.texts = append(c.texts, e.Entry.Text)
		case *page.EventJavascriptDialogOpening:
			c.texts = append(c.texts, "dialog: "+e.Message)
		}
	})
	if err == nil {
		err = chromedp.Do(ctx, command(log.Enable, cdp.Empty{}))
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// command is a step that sends the browser a command of its protocol.
func command[P, R any](c cdp.Command[P, R], params P) chromedp.Action[chromedp.Void] {
	return chromedp.Func(func(ctx context.Context, target *chromedp.Target) error {
		_, err := cdp.Call(ctx, target, c, params)
		return err
	})
}

func (c *complaints) all() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.texts, "\n")
}

// onLoopback serves a site and the pool beside it.
func (w *world) onLoopback(t *testing.T) string {
	mux := http.NewServeMux()
	mux.Handle("/", w.site(t))
	mux.Handle("/pool/", http.FileServer(http.Dir(w.dir)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL
}

// TestBrowserWithAndWithoutScripts searches by typing, and follows a dependency.
func TestBrowserWithAndWithoutScripts(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	url := w.onLoopback(t)
	browser := chromium(t)
	for _, without := range []bool{false, true} {
		t.Run(fmt.Sprintf("scripts disabled %v", without), func(t *testing.T) {
			ctx, cancel := chromedp.NewContext(browser)
			defer cancel()
			said := listen(t, ctx)
			read := func(wait, selector string) string {
				t.Helper()
				if err := chromedp.Do(ctx, chromedp.WaitReady(chromedp.CSS(wait))); err != nil {
					t.Fatalf("%v; the browser says: %s", err, said.all())
				}
				text, err := chromedp.Run(ctx, chromedp.Text(chromedp.CSS(selector)))
				if err != nil {
					t.Fatal(err)
				}
				return text
			}
			do := func(steps ...chromedp.Action[chromedp.Void]) {
				t.Helper()
				if err := chromedp.Do(ctx, steps...); err != nil {
					t.Fatalf("%v; the browser says: %s", err, said.all())
				}
			}
			do(command(emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: without}),
				chromedp.Navigate(url+"/"), chromedp.SendKeys(chromedp.CSS("#q"), "packs fil"+kb.Enter))
			found := read(".packages .tag + .tag", "h2")
			do(chromedp.Click(chromedp.CSS(".packages a")))
			name := read("#requires", "h1")
			do(chromedp.Click(chromedp.CSS(`section[aria-labelledby=requires] a[href="packages/zlib/"]`)))
			dependency := read(`a[href="https://zlib.example.org/"]`, "h1")
			at, err := chromedp.Run(ctx, chromedp.Location())
			if err != nil {
				t.Fatal(err)
			}
			if found != "1 package for “packs fil”" || name != "minizip 2.0.0-1" || dependency != "zlib 1.3.1-1" || at != url+"/packages/zlib/" {
				t.Errorf("found %q, then %q, then %q at %s", found, name, dependency, at)
			}
			if all := said.all(); all != "" {
				t.Errorf("the browser complains: %s", all)
			}
		})
	}
}

// contrast returns the texts of a page whose contrast is below what WCAG 2 AA asks for.
const contrast = `(() => {
	const number = c => { const v = c.match(/[\d.]+/g).map(Number); return { rgb: v.slice(0, 3), a: v.length > 3 ? v[3] : 1 } };
	const light = rgb => { const l = rgb.map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * l[0] + .7152 * l[1] + .0722 * l[2] };
	const bad = [];
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		let under = e;
		while (under && number(getComputedStyle(under).backgroundColor).a === 0) under = under.parentElement;
		const paper = under ? number(getComputedStyle(under).backgroundColor).rgb : [255, 255, 255];
		const [a, b] = [light(number(getComputedStyle(e).color).rgb), light(paper)].sort((x, y) => y - x);
		if ((a + .05) / (b + .05) < 4.5) bad.push(e.tagName + ": " + e.textContent.trim().slice(0, 40));
	}
	return bad.join("; ");
})()`

// TestBrowserOnEveryPage opens all pages as wide as a phone, light and dark.
func TestBrowserOnEveryPage(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	repotest.Publish(t, w.Repository, w.pack(t, "name"+strings.Repeat("1234567890", 12)+"-1.0.0-1", nil))
	url := w.onLoopback(t)
	ctx := chromium(t)
	said := listen(t, ctx)
	for path, doc := range crawl(t, w.site(t), w.dir) {
		if doc.nodes == nil || path == "/health.json" {
			continue
		}
		for _, scheme := range []string{"light", "dark"} {
			err := chromedp.Do(ctx, chromedp.EmulateViewport(340, 700),
				command(emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}),
				chromedp.Navigate(url+path), chromedp.WaitReady(chromedp.CSS("footer")), chromedp.Func(fitsScreen))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			dull, err := chromedp.Run(ctx, chromedp.Evaluate[string](contrast))
			if err != nil {
				t.Errorf("%s: %v", path, err)
			}
			if dull != "" {
				t.Errorf("%s, %s: too little contrast: %s", path, scheme, dull)
			}
		}
	}
	if all := said.all(); all != "" {
		t.Errorf("the browser complains: %s", all)
	}
}

// fitsScreen is an error if a page is wider than the screen.
func fitsScreen(ctx context.Context, target *chromedp.Target) error {
	m, err := cdp.Call(ctx, target, page.GetLayoutMetrics, cdp.Empty{})
	if err != nil {
		return err
	}
	if int64(m.CSSContentSize.Width) > int64(m.CSSLayoutViewport.ClientWidth) {
		return fmt.Errorf("it is %v wide on a screen of %v", m.CSSContentSize.Width, m.CSSLayoutViewport.ClientWidth)
	}
	return nil
}

// TestBrowserComplaintsAreHeard makes sure that the tests above can fail: a
// script in a page is blocked by the policy, and noticed, and so are texts that
// are too wide or too pale.
func TestBrowserComplaintsAreHeard(t *testing.T) {
	w := newWorld(t)
	site := w.site(t)
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		policy := get(t, site, "/").Header().Get("Content-Security-Policy")
		rw.Header().Set("Content-Security-Policy", policy)
		rw.Header().Set("Content-Type", "text/html")
		fmt.Fprint(rw, `<p><font color="#ff0000">pale</font><pre>`+strings.Repeat("wide", 100)+`</pre><script>alert(1)</script><footer>`)
	}))
	defer server.Close()
	ctx := chromium(t)
	said := listen(t, ctx)
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(340, 700), chromedp.Navigate(server.URL), chromedp.WaitReady(chromedp.CSS("footer"))); err != nil {
		t.Fatal(err)
	}
	if dull, err := chromedp.Run(ctx, chromedp.Evaluate[string](contrast)); err != nil || !strings.Contains(dull, "pale") {
		t.Errorf("too pale: %q, %v", dull, err)
	}
	if err := chromedp.Do(ctx, chromedp.Func(fitsScreen)); err == nil {
		t.Error("a page that is too wide fits the screen")
	}
	wait(t, "a complaint", func() bool { return strings.Contains(said.all(), "Content Security Policy") })
	if strings.Contains(said.all(), "dialog") {
		t.Error("the script ran")
	}
}

var currentForm = regexp.MustCompile(` aria-current="(page|true)"`)

// TestTidyAndW3m has a strict parser judge the pages, and a browser for texts show them.
func TestTidyAndW3m(t *testing.T) {
	w := newWorld(t)
	w.fill(t)
	site := w.site(t)
	for _, program := range []string{"tidy", "w3m"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatal(program + " is not installed; run pkgtool/bootstrap.sh test")
		}
	}
	for path, doc := range crawl(t, site, w.dir) {
		if doc.nodes == nil {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "tidy", "-quiet", "-errors", "--doctype", "html5", "--drop-empty-elements", "no")
		// Debian's tidy is older than this attribute.
		cmd.Stdin = strings.NewReader(currentForm.ReplaceAllString(get(t, site, path).Body.String(), ""))
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("tidy says of %s: %v\n%s", path, err, out)
		}
	}
	cmd := exec.CommandContext(t.Context(), "w3m", "-T", "text/html", "-dump", "-cols", "80")
	cmd.Stdin = get(t, site, "/packages/minizip/").Body
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "pkgtool install minizip") || !strings.Contains(string(out), "from zlib") {
		t.Errorf("w3m: %v\n%s", err, out)
	}
}
