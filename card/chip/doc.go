// Package chip is the software chip (软件芯片): a social security card that runs
// the same profile as the product with an encoder and a composition of
// cryptography of its own, so that it contradicts the product where the
// product is wrong. It is for trials, training and tests; the product never
// imports it.
//
// A Chip takes raw command APDUs and answers as a T=0 card does: 61xx where an
// answer waits, 6Cxx for a wrong length. Its memory is an Image in a Store, as
// a card's is in its EEPROM: each command changes it as a whole or not at all,
// and the counters of PIN and keys are written before anything is compared.
// Rights, challenges and the selected file are lost when the power goes.
//
// The image holds the chip's keys in the clear. A simulated chip protects
// nothing; use it with keys of a trial only.
package chip
