// Package sample holds a small province for trials and training (演示、培训):
// offices, a hospital, a pharmacy, a bank, workstations, operators with known
// passwords and a dozen residents with the names of Qinghai.
//
// It is data (province.yaml, residents.yaml) and the few lines that load it.
// Since its passwords are printed, it loads only into a database that is marked
// as one for trials (registry.DB.MarkTrial), which no database that holds real
// persons can become. Loading again adds what is missing and changes nothing.
//
// Nobody in it exists. The identity numbers are well-formed, yet no office ever
// gave them: each joins a county code with a birth before that code existed.
package sample
