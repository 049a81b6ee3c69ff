# Bars as SVG, for compare.sh and curves.sh. Lines, with tabs between the fields:
#   panel TITLE DECIMALS
#   bar LABEL COLOUR VALUE LEAST MOST      LEAST and MOST: the spread, as a line over the bar
BEGIN { FS = "\t" }

$1 == "panel" {
    panels++
    title[panels] = $2
    decimals[panels] = $3
}

$1 == "bar" {
    i = ++rows[panels]
    label[panels, i] = $2
    colour[panels, i] = $3
    value[panels, i] = $4
    least[panels, i] = $5
    most[panels, i] = $6
}

function text(x, y, anchor, what) {
    printf "<text x=\"%d\" y=\"%d\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, what
}

function grouped(number, whole) {
    whole = sprintf("%.0f", number)
    while (match(whole, /[0-9][0-9][0-9][0-9]($|,)/))
        whole = substr(whole, 1, RSTART) "," substr(whole, RSTART + 1)
    return whole
}

function panel(p, top, scale, i, y) {
    printf "<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s</text>\n", top, title[p]
    for (i = 1; i <= rows[p]; i++) if (most[p, i] > scale) scale = most[p, i]
    if (!scale) scale = 1
    for (i = 1; i <= rows[p]; i++) {
        y = top + 12 + (i - 1) * 28
        text(150, y + 15, "end", label[p, i])
        printf "<rect x=\"160\" y=\"%d\" width=\"%.1f\" height=\"20\" fill=\"%s\"/>\n", y,
            value[p, i] / scale * 400, colour[p, i]
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>\n",
            160 + least[p, i] / scale * 400, 160 + most[p, i] / scale * 400, y + 10, y + 10
        text(160 + most[p, i] / scale * 400 + 8, y + 15, "start",
            decimals[p] ? sprintf("%.*f", decimals[p], value[p, i]) : grouped(value[p, i]))
    }
}

END {
    for (p = 1; p <= panels; p++) height += rows[p] * 28 + 50
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"" height \
        "\" font-family=\"sans-serif\" font-size=\"13\">"
    print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
    top = 25
    for (p = 1; p <= panels; p++) {
        panel(p, top)
        top += rows[p] * 28 + 40
    }
    print "</svg>"
}
