package issuance

import "onecard/registry"

// CardOfChip returns the card with this identification (卡识别码, upper-case
// hexadecimal) and the version of its keys, held until the transaction ends so
// that nothing begins with a card after its loss was reported.
// registry.ErrNotFound: the province has no record of it.
func (s *Service) CardOfChip(tx *registry.Tx, chipID string) (Card, int, error) {
	var row cardRow
	if err := tx.ForUpdate().Where("chip_id = ?", chipID).Take(&row).Error; err != nil {
		return Card{}, 0, err
	}
	card, err := row.domain()
	return card, row.KeyVersion, err
}
