package profile_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/card/profile"
)

var update = flag.Bool("update", false, "write docs/profile-*.md anew")

// TestPage holds the documentation page of each version to its data.
func TestPage(t *testing.T) {
	t.Parallel()
	profiles, err := profile.Load()
	require.NoError(t, err)
	for _, p := range profiles {
		path := filepath.Join("..", "..", "docs", "profile-"+strings.Join(append([]string{p.Version}, p.Areas...), "-")+".md")
		if *update {
			require.NoError(t, os.WriteFile(path, []byte(page(p)), 0o600))
		}
		written, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, page(p), string(written), "run: go test ./card/profile -run TestPage -update")
	}
}

// page draws a version as a page: scopes, keys, files, elements.
func page(p *profile.Profile) string {
	var b strings.Builder
	put := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	put("# %s · %s\n", p.Title.ZH, p.Title.EN)
	put("Written from `card/profile`; a test holds it to the data. *assumed* marks a choice that no public source confirms.\n")
	put("规范版本 version **%s**，算法 algorithm **%s**，社保密码 PIN %d digits, %d tries，环境 environment `%X`\n", p.Version, p.Algorithm, p.PIN.Digits, p.PIN.Tries, p.Environment)
	put("| ATR | mask | |\n|---|---|---|")
	for _, atr := range p.ATRs {
		put("| `%X` | `%X` | %s %s |", atr.Value, atr.Mask, atr.Name.ZH, atr.Name.EN)
	}
	put("\n| choice | value | why *(assumed)* |\n|---|---|---|")
	for _, choice := range []struct {
		name  string
		value any
	}{{"keyVersion", fmt.Sprintf("%X", p.Choices.KeyVersion)}, {"protection", p.Choices.Protection}, {"namePad", fmt.Sprintf("%02X", p.Choices.NamePad)}, {"amounts", p.Choices.Amounts}, {"charset", p.Choices.Charset}} {
		put("| %s | `%v` | %s |", choice.name, choice.value, p.Choices.Sources[choice.name])
	}
	if a := p.Account; a != nil {
		put("\n医疗账户 medical account (*assumed*): balance %s/%s, records %s/%s; %s\n\n| form | fields |\n|---|---|", a.Scope, a.Balance, a.Scope, a.Records, a.Source)
		for _, form := range []struct {
			name   string
			fields []string
		}{{"INITIALIZE", a.Opening}, {"answer", a.Opened}, {"DEBIT, CREDIT", a.Request}, {"answer", a.Answer}, {"process key factor", a.Factor}, {"MAC1", a.MAC1}, {"MAC2", a.MAC2}, {"TAC", a.TAC}} {
			put("| %s | %s |", form.name, strings.Join(form.fields, ", "))
		}
	}
	if p.Finance != nil {
		put("\n金融应用 financial application: `%X`, account number in tag %X or %X; %s", p.Finance.AIDs, p.Finance.Tag, p.Finance.Track2, p.Finance.Source)
	}
	for _, scope := range p.Scopes {
		put("\n## %s %s · %s\n", scope.Name, scope.Title.ZH, scope.Title.EN)
		put("| key | id | purpose | tries | PSAM | address | source |\n|---|---|---|---|---|---|---|")
		for _, key := range scope.Keys {
			put("| %s | %02X | %s | %d | %s | %s | %s |", key.Name, key.ID, key.Purpose, key.Tries, module(key.PSAM), key.Address, source(key.Source, key.Assumed))
		}
		for _, file := range scope.Files {
			pageFile(put, file)
		}
	}
	return b.String()
}

func pageFile(put func(string, ...any), file profile.File) {
	put("\n### %X %s · %s\n", file.FID, file.Title.ZH, file.Title.EN)
	size := ""
	switch file.Kind {
	case profile.Cyclic:
		size = fmt.Sprintf(", %d records of %d bytes", file.Records, file.Size)
	case profile.Transparent:
		size = fmt.Sprintf(", %d bytes", file.Size)
	}
	put("%s%s; read `%s`, write `%s`; %s", file.Kind, size, file.Read, file.Write, source(file.Source, file.Assumed))
	if len(file.Fields) > 0 {
		put("\n| length | coding | name | 数据项 |\n|---|---|---|---|")
		for _, e := range file.Fields {
			put("| %d | %s | %s | %s %s%s |", e.Length, e.Coding, e.Name, e.Title.ZH, e.Title.EN, source("", e.Assumed))
		}
	}
	if len(file.Elements) == 0 {
		return
	}
	put("\n| record | tag | length | coding | name | 数据项 | read | source |\n|---|---|---|---|---|---|---|---|")
	for _, e := range file.Elements {
		read := e.Read
		if read == "" {
			read = file.Read
		}
		put("| %d | %02X | %d | %s | %s | %s %s | `%s` | %s |", e.Record, e.Tag, e.Length, e.Coding, e.Name, e.Title.ZH, e.Title.EN, strings.ReplaceAll(read, "|", "\\|"), source(e.Source, e.Assumed))
	}
}

// module is a key's place in a terminal's security module.
func module(p profile.PSAM) string {
	if p == (profile.PSAM{}) {
		return ""
	}
	return fmt.Sprintf("%02X / %02X", p.Usage, p.ID)
}

func source(text string, assumed bool) string {
	if assumed {
		return strings.TrimSpace(text + " *assumed*")
	}
	return text
}
