# Bars of compare.sh as SVG. Lines: SERVER RATE LEAST MOST CPU LEAST MOST.
BEGIN {
    label["udp"] = "bare UDP echo"
    label["holdfast-uring"] = "Holdfast, io_uring"
    label["holdfast-mmsg"] = "Holdfast, recvmmsg"
    label["libcoap-wolfssl"] = "libcoap on wolfSSL"
    label["libcoap-mbedtls"] = "libcoap on mbedTLS"
}

{
    name[NR] = $1
    for (i = 0; i < 6; i++) value[NR, i] = $(2 + i)
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

function panel(top, title, first, decimals, rows, most, i, y, x, width) {
    printf "<text x=\"10\" y=\"%d\" font-weight=\"bold\">%s</text>\n", top, title
    for (i = 1; i <= rows; i++) if (value[i, first + 2] > most) most = value[i, first + 2]
    for (i = 1; i <= rows; i++) {
        y = top + 12 + (i - 1) * 28
        width = most > 0 ? value[i, first] / most * 400 : 0
        text(150, y + 15, "end", label[name[i]])
        printf "<rect x=\"160\" y=\"%d\" width=\"%.1f\" height=\"20\" fill=\"%s\"/>\n", y, width,
            name[i] ~ /^holdfast/ ? "#2a6f97" : name[i] == "udp" ? "#8d99ae" : "#c98b4a"
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"black\"/>\n",
            160 + value[i, first + 1] / most * 400, 160 + value[i, first + 2] / most * 400,
            y + 10, y + 10
        text(160 + value[i, first + 2] / most * 400 + 8, y + 15, "start",
            decimals ? sprintf("%.*f", decimals, value[i, first]) : grouped(value[i, first]))
    }
}

END {
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"680\" height=\"" 2 * (NR * 28 + 50) \
        "\" font-family=\"sans-serif\" font-size=\"13\">"
    print "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>"
    panel(25, "Requests per second (more is better)", 0, 0, NR)
    panel(25 + NR * 28 + 40, "Server CPU, ms for 1,000 requests (less is better)", 3, 2, NR)
    print "</svg>"
}
