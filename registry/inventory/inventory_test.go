package inventory_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"onecard/internal/pgtest"
	"onecard/registry"
	"onecard/registry/inventory"
	"onecard/registry/registrytest"
	"onecard/registry/stores"
)

// schemas returns the columns of the three stores.
func schemas(t *testing.T, db *registry.DB, exchange, decision string) map[string][]registry.Column {
	t.Helper()
	x, err := stores.OpenExchange(t.Context(), exchange, db.Now)
	require.NoError(t, err)
	d, err := stores.OpenDecision(t.Context(), decision, db.Now)
	require.NoError(t, err)
	found := map[string][]registry.Column{}
	for store, columns := range map[string]func() ([]registry.Column, error){
		"production": func() ([]registry.Column, error) { return db.Columns(t.Context()) },
		"exchange":   func() ([]registry.Column, error) { return x.Columns(t.Context()) },
		"decision":   func() ([]registry.Column, error) { return d.Columns(t.Context()) },
	} {
		found[store], err = columns()
		require.NoError(t, err)
		require.NotEmpty(t, found[store])
	}
	require.NoError(t, x.Close())
	require.NoError(t, d.Close())
	return found
}

// TestCurrent: every column of both databases is classified, and the page is
// what `onecard inventory` prints. To write it anew: UPDATE=1 go test.
func TestCurrent(t *testing.T) {
	t.Parallel()
	page := filepath.Join("..", "..", "docs", "inventory.md")
	registrytest.EachDSN(t, func(t *testing.T, dsn string) {
		db := registrytest.Open(t, registrytest.Config(dsn, registrytest.NewClock()))
		exchange, decision := "sqlite:"+filepath.Join(t.TempDir(), "x.db"), "sqlite:"+filepath.Join(t.TempDir(), "d.db")
		if dsn[:6] != "sqlite" {
			exchange, decision = pgtest.DSN(t), pgtest.DSN(t)
		}
		list, err := inventory.Read()
		require.NoError(t, err)
		var lines []inventory.Column
		found := schemas(t, db, exchange, decision)
		for _, store := range inventory.Stores {
			checked, err := list.Check(store, found[store])
			require.NoError(t, err)
			require.Len(t, checked, len(found[store]))
			lines = append(lines, checked...)
		}
		var text bytes.Buffer
		require.NoError(t, list.Markdown(&text, lines))
		if os.Getenv("UPDATE") != "" {
			require.NoError(t, os.WriteFile(page, text.Bytes(), 0o644))
		}
		written, err := os.ReadFile(page)
		require.NoError(t, err)
		require.Equal(t, string(written), text.String(), "docs/inventory.md is not current: write what `onecard inventory` prints")
	})
}

// TestFindings: what does not fit is refused, and the column is named.
func TestFindings(t *testing.T) {
	t.Parallel()
	const head = "classes: {identity: x, attribute: y, business: z, technical: t}\nretentions: {r: {term: x}}\ntechnical: [id, replaced_at]\nstores:\n  production:\n    t: {purpose: p, retention: r, readers: [x], "
	column := func(table, name string) registry.Column { return registry.Column{Table: table, Name: name} }
	schema := []registry.Column{column("t", "id"), column("t", "name_sealed"), column("t_history", "name_sealed"), column("t_history", "replaced_at")}
	for name, c := range map[string]struct {
		text   string
		schema []registry.Column
		says   string
	}{
		"fits":          {"identity: [name_sealed], sealed: {name_sealed: t.name id}}", schema, ""},
		"new column":    {"identity: [name_sealed], sealed: {name_sealed: t.name id}}", append(schema[:4:4], column("t", "nick")), "production t.nick: 未分类 is not classified"},
		"new table":     {"identity: [name_sealed], sealed: {name_sealed: t.name id}}", append(schema[:4:4], column("u", "id")), "production u.id: 表未列入"},
		"gone":          {"identity: [name_sealed, phone_index], sealed: {name_sealed: t.name id}}", schema, "production t.phone_index: 清单中有，库中没有"},
		"two classes":   {"identity: [name_sealed], business: [name_sealed], sealed: {name_sealed: t.name id}}", schema, "two classes"},
		"no binding":    {"identity: [name_sealed]}", schema, "t.name_sealed: 未写明密文绑定"},
		"plain name":    {"identity: [id], business: [name_sealed], sealed: {name_sealed: t.name id}}", schema, "t.id: 个人信息须加密"},
		"plain, no why": {"attribute: [id], business: [name_sealed], sealed: {name_sealed: t.name id}}", schema, "t.id: 明文须写明理由"},
	} {
		list, err := inventory.Parse([]byte(head + c.text))
		require.NoError(t, err, name)
		_, err = list.Check("production", c.schema)
		if c.says == "" {
			require.NoError(t, err, name)
			continue
		}
		require.ErrorIs(t, err, inventory.ErrInventory, name)
		require.ErrorContains(t, err, c.says, name)
	}
	for name, wrong := range map[string]string{
		"class": "odd: [id]}", "retention": "identity: [id]}", "nothing": "}",
	} {
		text := head + wrong
		if name == "retention" {
			text = "classes: {identity: x}\nstores:\n  production:\n    t: {purpose: p, retention: never, readers: [x], identity: [id]}"
		}
		if name == "nothing" {
			text = "classes: {identity: x}\nretentions: {r: {term: x}}\nstores:\n  production:\n    t: {retention: r}"
		}
		_, err := inventory.Parse([]byte(text))
		require.ErrorIs(t, err, inventory.ErrInventory, name)
	}
}
