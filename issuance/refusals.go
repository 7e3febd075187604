package issuance

import "onecard/registry"

// What the database refuses besides moves that the tables do not have, so that
// no way around the platform lets one person issue a card (无人可独自发卡): that
// two persons are on record is held by the CHECK applications_four_eyes.
var (
	applicationRefusals = []registry.Refusal{
		{Write: "INSERT", Text: "begins without a review",
			When: "NEW.reviewed_by IS NOT NULL OR NEW.card_id IS NOT NULL OR NEW.holder_index IS NOT NULL OR NEW.made_by IS NOT NULL OR NEW.handed_by IS NOT NULL"},
		{Write: "UPDATE OF entered_by, person_id, kind", Text: "who entered it, and for whom, stays",
			When: "NEW.entered_by <> OLD.entered_by OR NEW.person_id <> OLD.person_id OR NEW.kind <> OLD.kind"},
		{Write: "UPDATE OF reviewed_by", Text: "reviewed by approval only",
			When: "(OLD.reviewed_by IS NULL OR NEW.reviewed_by IS NULL OR NEW.reviewed_by <> OLD.reviewed_by) AND NOT (NEW.reviewed_by IS NULL AND OLD.reviewed_by IS NULL) AND NOT (OLD.state = 'applied' AND NEW.state = 'numbered')"},
		{Write: "UPDATE OF holder_index", Text: "what was reviewed stays",
			When: "(OLD.holder_index IS NULL OR NEW.holder_index IS NULL OR NEW.holder_index <> OLD.holder_index) AND NOT (NEW.holder_index IS NULL AND OLD.holder_index IS NULL) AND NOT (OLD.state = 'applied' AND NEW.state = 'numbered') AND NOT (OLD.state = 'numbered' AND NEW.state = 'applied')"},
		{Write: "UPDATE OF state", Text: "reviewed by one who changed it, or nothing was reviewed",
			When: "OLD.state = 'applied' AND NEW.state = 'numbered' AND (NEW.holder_index IS NULL" +
				" OR EXISTS (SELECT 1 FROM persons WHERE id = NEW.person_id AND changed_by = NEW.reviewed_by AND changed_at >= NEW.created_at)" +
				" OR EXISTS (SELECT 1 FROM persons_history WHERE id = NEW.person_id AND changed_by = NEW.reviewed_by AND changed_at >= NEW.created_at))"},
	}
	cardRefusals = []registry.Refusal{
		{Write: "INSERT", Text: "no reviewed application",
			When: "NOT EXISTS (SELECT 1 FROM applications a WHERE a.id = NEW.application_id AND a.person_id = NEW.person_id AND a.card_number = NEW.number AND a.reviewed_by <> a.entered_by AND a.state IN ('batched', 'personalising'))"},
		{Write: "UPDATE OF status", Text: "not reviewed and made",
			When: "OLD.status = '0' AND NEW.status = '1' AND NOT EXISTS (SELECT 1 FROM applications a WHERE a.card_id = NEW.id AND a.reviewed_by <> a.entered_by AND a.state = 'made')"},
		{Write: "UPDATE OF chip_id, chip_serial, atr, application_id", Text: "which card it is stays",
			When: "NEW.chip_id <> OLD.chip_id OR NEW.chip_serial <> OLD.chip_serial OR NEW.atr <> OLD.atr OR NEW.application_id IS NOT NULL AND (OLD.application_id IS NULL OR NEW.application_id <> OLD.application_id)"},
		{Write: "UPDATE OF person_id", Text: "goes to another file by a merge only",
			When: "NEW.person_id <> OLD.person_id AND NOT EXISTS (SELECT 1 FROM merges WHERE undone_at IS NULL AND (kept_id = NEW.person_id AND absorbed_id = OLD.person_id OR kept_id = OLD.person_id AND absorbed_id = NEW.person_id))"},
	}
)
