package api

import (
	"context"
	"time"

	openapi_types "github.com/oapi-codegen/runtime/types"

	"onecard/internal/gb"
)

// mostPlaces is the length of a list of places unless asked otherwise.
const mostPlaces = 50

// Places implements StrictServerInterface (行政区划).
func (s *Server) Places(ctx context.Context, request PlacesRequestObject) (PlacesResponseObject, error) {
	table, err := s.db.Places(ctx)
	if err != nil {
		return nil, err
	}
	day := s.today()
	if request.Params.Day != nil {
		day = gb.DateOf(request.Params.Day.Time)
	}
	limit := deref(request.Params.Limit, mostPlaces)
	found := table.Search(deref(request.Params.Text, ""), deref(request.Params.Within, ""), day)
	answer := Places200JSONResponse{Places: []Place{}, More: len(found) > limit}
	for _, d := range found[:min(limit, len(found))] {
		place := Place{
			Code: d.Code, Name: d.Name, FullName: table.FullName(d.Code, day), Level: PlaceLevel(d.Level), Path: table.Path(d.Code, day),
			Successor: optional(d.Successor), ValidFrom: shownDate(d.From), ValidTo: shownDate(d.To),
		}
		if former := table.Former(d.Code, day); len(former) > 0 {
			place.Former = &former
		}
		answer.Places = append(answer.Places, place)
	}
	return answer, nil
}

// shownDate leaves out of the answer what is no day.
func shownDate(d gb.Date) *openapi_types.Date {
	if d.IsZero() {
		return nil
	}
	return &openapi_types.Date{Time: d.Time(time.UTC)}
}
