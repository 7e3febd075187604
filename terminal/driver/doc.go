// Package driver works a card in two and three steps as the national driver
// does for terminals without a security module (基于加密机的读写卡, SSCardDriver's
// functions …_HSM_Step1 to Step3): what a step returns goes to the province's
// authentication service, what the service answers goes into the next step. The
// strings, their fields and the error numbers are the driver's, so that a
// program written for it keeps its flow.
//
// It owns no key and no connection to the province: a step is work on the card
// alone. Between two steps nobody may reset the card or take another challenge
// from it: the card checks against its latest.
//
//	ReadCardBasStep1 → 01 → ReadCardBasStep2      the holder, proven genuine
//	ReadCardStep1    → 02 → ReadCardStep2         elements of files behind one key
//	WriteCardStep1   → 02 → WriteCardStep2        the same, written
//	ReloadPINStep1   → 03 → ReloadPINStep2 → 03 → ReloadPINStep3
//	UnblockPINStep1  → 03 → UnblockPINStep2 → 03 → UnblockPINStep3
//
// Message puts a step's string into the form of the service.
package driver
