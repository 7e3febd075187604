// Package collective takes applications that an employer, a school, a village or
// a bank brings as one list (集体申领): CSV or Excel, a row for each holder. Every row
// is applied for by itself, with an outcome of its own, and the same list can be
// handed in again without anything being done twice.
package collective
