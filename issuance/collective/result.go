package collective

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"

	"onecard/issuance"
	"onecard/registry"
)

var outcomes = map[string]string{Applied: "已申请 applied", Draft: "草稿，待补 draft", Refused: "未受理 refused", Withdrawn: "草稿已撤销 withdrawn"}

// Order returns an order with its counts, or registry.ErrNotFound.
func (s *Service) Order(ctx context.Context, id uuid.UUID) (Order, error) {
	var row orderRow
	if err := s.DB.Read(ctx).Where("id = ?", id).Take(&row).Error; err != nil {
		return Order{}, err
	}
	var counts []struct {
		Outcome string
		N       int
	}
	counted := s.DB.Read(ctx).Model(&outcomeRow{}).Select("outcome, count(*) AS n").Where("order_id = ?", id).Group("outcome")
	if err := counted.Scan(&counts).Error; err != nil {
		return Order{}, fmt.Errorf("count a list: %w", err)
	}
	order := Order{ID: row.ID, Institution: row.Institution, Kind: row.Kind, Method: row.Method, State: row.State, EnteredBy: row.EnteredBy, CreatedAt: row.CreatedAt}
	into := map[string]*int{Applied: &order.Applied, Draft: &order.Draft, Refused: &order.Refused, Withdrawn: &order.Withdrawn}
	for _, c := range counts {
		*into[c.Outcome] = c.N
	}
	return order, nil
}

// Within says whether an order was brought in a scope, or registry.ErrNotFound.
func (s *Service) Within(ctx context.Context, id uuid.UUID, scope registry.Scope) (bool, error) {
	order, err := s.Order(ctx, id)
	if err != nil {
		return false, err
	}
	institution, err := s.DB.Institution(ctx, order.Institution)
	if err != nil {
		return false, err
	}
	return scope.Covers(institution.Place, institution.Locality), nil
}

// Rows returns what became of rows of an order, in their order, from after a
// row on.
func (s *Service) Rows(ctx context.Context, id uuid.UUID, after int64, most int) ([]Row, error) {
	var found []outcomeRow
	if err := s.DB.Read(ctx).Where("order_id = ? AND row_number > ?", id, after).Order("row_number").Limit(most).Find(&found).Error; err != nil {
		return nil, fmt.Errorf("rows of a list: %w", err)
	}
	rows := make([]Row, len(found))
	for i, r := range found {
		rows[i] = Row{Number: r.RowNumber, Outcome: r.Outcome, Application: r.ApplicationID, Code: r.Code, ZH: r.Reason, EN: r.ReasonEN}
	}
	return rows, nil
}

// WriteResult writes what became of every row as a file for a spreadsheet
// (逐行结果). It holds no personal data.
func (s *Service) WriteResult(ctx context.Context, id uuid.UUID, out io.Writer) error {
	rows, err := s.Rows(ctx, id, 0, MaxRows)
	if err != nil {
		return err
	}
	lines := [][]string{{"行号", "结果", "申领编号", "原因代码", "原因", "reason"}}
	for _, r := range rows {
		application := ""
		if r.Application != nil {
			application = r.Application.String()
		}
		lines = append(lines, []string{fmt.Sprint(r.Number), outcomes[r.Outcome], application, r.Code, r.ZH, r.EN})
	}
	return writeSheet(out, lines)
}

// WriteHandout writes the list by which the cards of an order are handed out
// (领卡清单): who, which card, how far it is, and room to sign. It holds personal
// data: that it was made is on record for each holder.
func (s *Service) WriteHandout(ctx context.Context, actor registry.Actor, id uuid.UUID, out io.Writer) error {
	rows, err := s.Rows(ctx, id, 0, MaxRows)
	if err != nil {
		return err
	}
	lines := [][]string{{"行号", "姓名", "社会保障号码", "卡号", "办理状态", "卡状态", "领取人签名", "领取日期"}}
	var holders []uuid.UUID
	for _, r := range rows {
		if r.Application == nil {
			continue
		}
		application, err := s.Issuance.Application(ctx, *r.Application)
		if err != nil {
			return err
		}
		person, err := s.DB.PersonByID(ctx, application.PersonID)
		if err != nil {
			return err
		}
		status := ""
		if application.CardID != nil {
			card, err := s.Issuance.Card(ctx, *application.CardID)
			if err != nil {
				return err
			}
			status = issuance.Cards.State(card.Status).Text.ZH
		}
		holders = append(holders, person.ID)
		lines = append(lines, []string{
			fmt.Sprint(r.Number), person.Name, masked(person.Number()), application.CardNumber, issuance.Applications.State(application.State).Text.ZH, status, "", "",
		})
	}
	if len(holders) > 0 {
		if err := s.DB.RecordRead(ctx, actor, "handout", holders...); err != nil {
			return err
		}
	}
	return writeSheet(out, lines)
}

// masked leaves the ends of a number.
func masked(number string) string {
	const ends = 4
	if len(number) <= 2*ends {
		return strings.Repeat("*", len(number))
	}
	return number[:ends] + strings.Repeat("*", len(number)-2*ends) + number[len(number)-ends:]
}

// writeSheet writes CSV as spreadsheets read it: with the mark of UTF-8, and no
// cell that they would take for a formula.
func writeSheet(out io.Writer, lines [][]string) error {
	if _, err := io.WriteString(out, "\uFEFF"); err != nil {
		return err
	}
	w := csv.NewWriter(out)
	for _, line := range lines {
		for i, cell := range line {
			if cell != "" && strings.ContainsRune("=+-@\t\r\n", rune(cell[0])) {
				line[i] = "'" + cell
			}
		}
		if err := w.Write(line); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
