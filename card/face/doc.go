// Package face makes the printed side of a card that tells of its holder
// (卡面打印): what stands on it as data, where it stands as a layout, and a PDF of
// the size of the card (ID-1).
//
// Letters are drawn as the outlines of their glyphs, so that no printer can put
// another font, a blank or a question mark in the place of a rare character; the
// text lies under them for whoever searches or reads aloud. A character that no
// font of the layout has is an error that names it, before anything is printed.
package face
