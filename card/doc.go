// Package card does everything that can be done with the national social
// security card (社会保障卡): recognise it, read it, prove it genuine, verify
// and change the holder's number, personalise a blank, activate, lock.
//
// An operation is a sequence of scripts without I/O. Whoever has the reader
// runs a script (Run) and hands the answers back; the operation returns the
// next script or says that it has ended. The same code thus drives a chip in
// this room and one at a county a thousand kilometres away, and because an
// operation is a value that JSON can hold, it survives a crash between two
// scripts. Every operation begins with the Opening script, which needs no
// key and is the same for all cards of a version.
//
//	                 scripts, opening included
//	Read             2   identity, proof that the chip is genuine, all elements
//	Inspect          3   what a reading refuses is here a result
//	Personalise      5   keys, data, read back and compare, finish; 4 on a GlobalPlatform blank
//	Activate         3   the holder's first PIN
//	Lock             2   application block and unblock
//	VerifyPIN        1   local: the number goes to the chip only
//
// A card proves that it is genuine before it is given anything that it could
// count or keep, and the script ends where the proof fails (Step.Expect). A
// blank has no key to prove itself by, and a blocked application none to use:
// these prove themselves afterwards.
//
// What the chip looks like is data in card/profile. Keys are with a Keeper,
// which computes and never gives one out. Access conditions, record forms and
// the authentication follow LD/T 32-2015 parts 3 to 7 as far as they are
// public; the loading of keys is the maker's (profile, part maker, and the makes
// of blanks in card/profile/makers): in a chain of MACs under a transport key, or
// through a secure channel of GlobalPlatform, in which every command and, where
// the make can, every answer is protected from the province to the chip.
package card
