package desk

import (
	"net/http"

	"onecard/internal/gb"
)

// code is a line of a list to choose from.
type code struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

// codes answers the lists that a clerk chooses from: ethnic groups (民族, GB/T
// 3304) and the counties of today (县级行政区划, GB/T 2260) with their prefecture.
func (s *Server) codes(w http.ResponseWriter, r *http.Request) {
	var lists struct {
		Ethnic []code `json:"ethnic"`
		Places []code `json:"places"`
	}
	for _, group := range gb.EthnicGroups() {
		lists.Ethnic = append(lists.Ethnic, code{group.Code, group.Name})
	}
	table, today := gb.Divisions(), gb.DateOf(s.config.Desk.Now())
	for _, division := range table.Current(today) {
		if division.Level != gb.County || division.Code == "" {
			continue
		}
		name := division.Name
		if above, ok := table.At(division.Parent, today); ok {
			name = above.Name + name
		}
		lists.Places = append(lists.Places, code{division.Code, name})
	}
	s.answer(w, r, lists)
}
