package collective

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"onecard/internal/gb"
	"onecard/internal/sheet"
	"onecard/issuance"
	"onecard/registry"
)

// chunk is rows that one transaction decides. Nothing is written before it is
// known that it will not be refused: what is refused leaves nothing.
type chunk struct {
	run
	tx      *registry.Tx
	entries []*entry
}

// entry is a row with what becomes of it.
type entry struct {
	outcomeRow
	row  sheet.Row
	told told
}

// begin locks the order, so that two runs of one list follow each other, and
// leaves out what another run has decided.
func (r run) begin(tx *registry.Tx, rows []sheet.Row) (*chunk, error) {
	if err := tx.ForUpdate().Where("id = ?", r.order.ID).Take(&orderRow{}).Error; err != nil {
		return nil, err
	}
	numbers := make([]int64, len(rows))
	for i, row := range rows {
		numbers[i] = row.Number
	}
	var found []outcomeRow
	if err := tx.DB().Where("order_id = ? AND row_number IN ?", r.order.ID, numbers).Find(&found).Error; err != nil {
		return nil, err
	}
	c, known := &chunk{run: r, tx: tx}, byNumber(found)
	for _, row := range rows {
		before := known[row.Number]
		if before.settled(r.order.Pass) {
			continue
		}
		outcome := outcomeRow{OrderID: r.order.ID, RowNumber: row.Number, Pass: r.order.Pass, ApplicationID: before.ApplicationID}
		c.entries = append(c.entries, &entry{outcomeRow: outcome, row: row})
	}
	return c, nil
}

// stays notes why a row is refused, or why its application is a draft still;
// any other error is returned.
func (e *entry) stays(why error) error {
	known := false
	if e.Code, e.Reason, e.ReasonEN, known = words(why); !known {
		return why
	}
	if e.Outcome = Refused; e.ApplicationID != nil {
		e.Outcome = Draft
	}
	return nil
}

// outcomes applies for the holders of rows and submits the drafts that rows
// became.
func (c *chunk) outcomes() error {
	var drafts, fresh []*entry
	var held []uuid.UUID
	for _, e := range c.entries {
		if e.ApplicationID != nil {
			drafts, held = append(drafts, e), append(held, *e.ApplicationID)
			continue
		}
		fresh = append(fresh, e)
	}
	if err := c.Issuance.Hold(c.tx, held); err != nil {
		return err
	}
	applying, requests, err := c.requests(fresh)
	if err != nil {
		return err
	}
	holders := make([]uuid.UUID, len(requests))
	for i, request := range requests {
		holders[i] = request.Person
	}
	if err := c.Issuance.Ahead(c.tx, holders); err != nil {
		return err
	}
	for _, e := range drafts {
		if err := c.submit(e); err != nil {
			return err
		}
	}
	outcomes, err := c.Issuance.ApplyAll(c.tx, requests)
	if err != nil {
		return err
	}
	for i, e := range applying {
		if id := outcomes[i].Application.ID; id != uuid.Nil {
			e.Outcome, e.ApplicationID = Applied, &id
		}
		if why := outcomes[i].Refused; why != nil {
			if err := e.stays(why); err != nil {
				return err
			}
		}
	}
	return nil
}

// submit submits the draft that a row became (补齐后提交). One that still lacks
// something stays a draft, and the row says what.
func (c *chunk) submit(e *entry) error {
	ask := issuance.Asked{Event: issuance.EventSubmit, Channel: Channel, Roles: []string{registry.RoleClerk}}
	_, err := c.Issuance.Fire(c.tx, *e.ApplicationID, ask)
	if err != nil && !errors.Is(err, issuance.ErrNotAllowed) {
		return e.stays(err)
	}
	e.Outcome = Applied
	if err == nil {
		return nil
	}
	application, err := c.Issuance.ApplicationIn(c.tx, *e.ApplicationID)
	if application.State == issuance.StateWithdrawn {
		e.Outcome, e.Code, e.Reason, e.ReasonEN = Withdrawn, issuance.StateWithdrawn, "草稿已撤销", "the draft was withdrawn"
	}
	return err // what was submitted at a counter is applied for
}

// requests are what the rows apply for that can be read, whose holders are
// registered with them. The others are refused.
func (c *chunk) requests(rows []*entry) (applying []*entry, requests []issuance.Request, err error) {
	var numbers []gb.IDNumber
	for _, e := range rows {
		if e.told, err = c.columns.read(e.row, c.DB.Today()); err != nil {
			if err = e.stays(err); err != nil {
				return nil, nil, err
			}
			continue
		}
		applying, numbers = append(applying, e), append(numbers, e.told.number)
	}
	persons, err := c.DB.PersonsByIDNumber(c.tx.Context(), numbers)
	if err != nil {
		return nil, nil, err
	}
	readable := applying
	applying = nil
	for _, e := range readable {
		request := issuance.Request{Kind: c.order.Kind, Method: c.order.Method, Channel: Channel, Applicant: c.institution.Kind, Acting: e.told.acting}
		request.Institution = c.institution.ID
		person, known := persons[e.told.number]
		if known {
			err = sameName(person, e.told.person.Name)
		} else if person, err = c.register(e.told.person, request); err == nil {
			persons[e.told.number] = person
		}
		switch {
		case err == nil:
			request.Person = person.ID
			applying, requests = append(applying, e), append(requests, request)
		case errors.Is(err, registry.ErrDuplicate):
			return nil, nil, err // another counter was faster: the database has given up the transaction
		default:
			if err = e.stays(err); err != nil {
				return nil, nil, err
			}
		}
	}
	return applying, requests, nil
}

// register registers a holder who will not be refused afterwards.
func (c *chunk) register(told registry.NewPerson, request issuance.Request) (registry.Person, error) {
	told.Place = cmp.Or(told.Place, c.institution.Place)
	person, err := told.Check()
	if err != nil {
		return person, err
	}
	if err := c.Issuance.Admits(c.tx, person, request); err != nil {
		return person, err
	}
	return c.tx.AddPerson(told)
}

var errName = wrong(fieldName, "与该号码登记的姓名不同", "the name that is registered with this number")

func sameName(person registry.Person, told string) error {
	if name, err := gb.NormaliseName(told); err != nil || name != person.Name {
		return errName
	}
	return nil
}

// note writes down what became of the rows.
func (c *chunk) note() error {
	rows := make([]outcomeRow, len(c.entries))
	for i, e := range c.entries {
		rows[i] = e.outcomeRow
		detail := map[string]string{"row": fmt.Sprint(e.RowNumber), "outcome": e.Outcome, "code": e.Code}
		if err := c.tx.Audit("collective.row", c.order.subject(), detail); err != nil {
			return err
		}
	}
	if len(rows) == 0 {
		return c.tx.Audit("collective.met", c.order.subject(), nil) // another run was faster with all of them
	}
	return c.tx.DB().Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "order_id"}, {Name: "row_number"}},
		DoUpdates: clause.AssignmentColumns([]string{"pass", "outcome", "application_id", "code", "reason", "reason_en"}),
	}).Create(&rows).Error
}
