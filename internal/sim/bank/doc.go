// Package bank is a bank that does not exist (银行模拟器): it speaks the protocol of
// docs/bank.md from the bank's side, with code of its own, keeps accounts and
// books, and fails on demand. For trials and tests; nothing in the product
// knows it.
package bank
