package web

import (
	"encoding/xml"
	"net/url"
	"time"
)

// The feed of new packages is Atom (RFC 4287).

type atomFeed struct {
	XMLName xml.Name    `xml:"http://www.w3.org/2005/Atom feed"`
	ID      string      `xml:"id"`
	Title   string      `xml:"title"`
	Updated string      `xml:"updated"`
	Links   []atomLink  `xml:"link"`
	Author  string      `xml:"author>name"`
	Entries []atomEntry `xml:"entry"`
}

type atomLink struct {
	Rel  string `xml:"rel,attr,omitempty"`
	Href string `xml:"href,attr"`
}

type atomEntry struct {
	ID      string   `xml:"id"`
	Title   string   `xml:"title"`
	Updated string   `xml:"updated"`
	Link    atomLink `xml:"link"`
	Summary string   `xml:"summary"`
}

func (v *visit) feed() *answer {
	st := v.state
	name := genericName
	if st.Name != "" {
		name = line(st.Name, maxText)
	}
	f := &atomFeed{ID: "urn:x-ashlar:" + url.PathEscape(name), Title: name + ": new packages", Updated: st.Time.UTC().Format(time.RFC3339), Author: name,
		Links: []atomLink{{"self", v.url + "feed.atom"}, {"", v.url}}}
	for i := range st.latest {
		one := &st.latest[i]
		f.Entries = append(f.Entries, atomEntry{ID: "urn:sha256:" + one.SHA256, Title: one.Name + " " + one.Version + " (" + one.Arch + ")",
			Updated: one.Added.Format(time.RFC3339), Link: atomLink{Href: v.url + one.Link}, Summary: one.Summary})
	}
	data, err := xml.MarshalIndent(f, "", " ")
	if err != nil {
		return &answer{status: 500, kind: "text/plain; charset=utf-8", body: []byte("this feed could not be made\n")}
	}
	return v.finish(&page{}, &answer{kind: "application/atom+xml; charset=utf-8", body: append([]byte(xml.Header), append(data, '\n')...)})
}
