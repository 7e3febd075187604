package collective_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"onecard/internal/gb"
	"onecard/internal/memory"
	"onecard/internal/pgtest"
	"onecard/issuance/collective"
	"onecard/registry"
	"onecard/registry/registrytest"
)

const benchRows = 1200

// name is one that those of the same day of birth do not share.
func name(n int) string {
	syllables := []string{"才", "卓", "央", "仁", "桑", "尼", "扎", "旦", "洛", "白"}
	return syllables[n%10] + syllables[n/365%10] + syllables[n/10%10]
}

// BenchmarkList takes lists on PostgreSQL with everything on the disk: of
// children who are registered with it, of residents of record, of children whose
// photograph is missing, and the last one again.
//
//	go test ./issuance/collective -run xxx -bench List -benchtime 1x
func BenchmarkList(b *testing.B) {
	memory.Relax(0)
	cluster := pgtest.New(b, "fsync=on", "full_page_writes=on", "shared_buffers=1GB", "max_wal_size=4GB")
	w := world{newService(b, registrytest.Open(b, registrytest.Config(cluster.DSN(b), registrytest.NewClock())))}
	numbers := func(year, from int) (all []string) {
		for n := range benchRows {
			day := time.Date(year, time.January, 1+n%365, 0, 0, 0, 0, gb.Beijing)
			all = append(all, number(b, gb.DateOf(day).String(), from+n/365))
		}
		return all
	}
	list := func(numbers []string) collective.List {
		lines := []string{"姓名,身份证号码,民族,通讯地址"}
		for n, number := range numbers {
			lines = append(lines, name(n)+","+number+",藏族,称多县称文镇")
		}
		return collective.List{Institution: "school-1", Content: []byte(strings.Join(lines, "\n"))}
	}
	known := numbers(2020, 1)
	require.NoError(b, w.DB.InTx(b.Context(), clerk, func(tx *registry.Tx) error {
		for n, number := range known {
			if _, err := tx.AddPerson(registry.NewPerson{IDNumber: number, Name: name(n), Ethnic: "04", Place: "632723"}); err != nil {
				return err
			}
		}
		return nil
	}))
	incomplete := list(numbers(2016, 1))
	for _, c := range []struct {
		name string
		list collective.List
		want [2]int
	}{
		{"new", list(numbers(2021, 1)), [2]int{benchRows, 0}},
		{"known", list(known), [2]int{benchRows, 0}},
		{"incomplete", incomplete, [2]int{0, benchRows}},
		{"again", incomplete, [2]int{0, benchRows}},
	} {
		began := time.Now()
		order, err := w.Run(b.Context(), clerk, c.list)
		require.NoError(b, err)
		rate := benchRows / time.Since(began).Seconds()
		require.Equal(b, c.want, [2]int{order.Applied, order.Draft}, c.name)
		b.ReportMetric(rate, c.name+"/s")
	}
	require.NoError(b, w.DB.VerifyAudit(b.Context()))
}
