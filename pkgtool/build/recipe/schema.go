package recipe

import (
	"strings"

	"ashlar/pkgtool/strictyaml"

	"github.com/invopop/jsonschema"
)

// Schema returns the JSON Schema of a recipe, with the conditions that are
// settled before the Go types see it.
func Schema() ([]byte, error) {
	return strictyaml.Schema(&Recipe{}, "Ashlar recipe", func(s *jsonschema.Schema) {
		elements := map[string]bool{}
		for _, definition := range s.Definitions {
			withConditions(definition, elements)
		}
		withConditions(s, elements)
		for name := range elements {
			if definition := s.Definitions[name]; definition != nil && definition.Properties != nil {
				definition.Properties.Set("if", &jsonschema.Schema{Type: "string", Description: "Condition on which it is there at all."})
			}
		}
		if patches, ok := s.Properties.Get("patches"); ok {
			patches.Items.AnyOf = append([]*jsonschema.Schema{{Type: "string", Description: "File of the recipe's folder."}}, patches.Items.AnyOf...)
		}
	})
}

// withConditions lets every list below s have conditional elements, and notes
// the types of elements.
func withConditions(s *jsonschema.Schema, elements map[string]bool) {
	if s == nil || s.Properties == nil {
		return
	}
	for pair := s.Properties.Oldest(); pair != nil; pair = pair.Next() {
		property := pair.Value
		if property.Type != "array" || property.Items == nil || pair.Key == "enum" {
			withConditions(property, elements)
			continue
		}
		plain := property.Items
		withConditions(plain, elements)
		elements[strings.TrimPrefix(plain.Ref, "#/$defs/")] = true
		value := jsonschema.NewProperties()
		value.Set("if", &jsonschema.Schema{Type: "string", Description: "Condition, such as options.pam or arch == x86_64."})
		value.Set("then", &jsonschema.Schema{Description: "Element, or list of elements, that stands here when it holds."})
		value.Set("else", &jsonschema.Schema{Description: "What stands here otherwise. Default: nothing."})
		property.Items = &jsonschema.Schema{AnyOf: []*jsonschema.Schema{
			plain,
			{Type: "object", Properties: value, Required: []string{"if", "then"}, AdditionalProperties: jsonschema.FalseSchema},
		}}
	}
}
