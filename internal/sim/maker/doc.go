// Package maker is a simulated card maker (卡商模拟器): it tells the province which
// blank chips lie there, opens a production file with its own keys, makes each
// card on a software chip by the commands of a personalisation machine, spoils
// some, and writes the signed return. It is for trials and tests; the product
// never imports it, and it reads the files by forms of its own, so that it
// contradicts the product where that is wrong.
//
// What it has: the certificate's key, the key of delivery that both sides agreed
// on in a ceremony, and the transport key of the blanks. It has no key of the
// province.
package maker
