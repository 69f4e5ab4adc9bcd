"""PDF documents of plain text, written by hand: the fonts are those that every reader has."""

import dataclasses
import zlib

WIDTH, HEIGHT, MARGIN = 595, 842, 56  # points; A4
# Widths in a thousandth of the size; digits, and what is not named here, have 556.
WIDTHS = {",": 278, ".": 278, " ": 278, "-": 333, "(": 333, ")": 333, "/": 278, "t": 305, "m": 870, "A": 700, "Q": 770}


@dataclasses.dataclass
class Text:
    """One piece of text; x counts from the left edge, y from the top. right: x is where it ends."""

    x: float
    y: float
    text: str
    size: float = 10
    bold: bool = False
    right: bool = False


def document(pages: list[list[Text]], title: str) -> bytes:
    """A file of those pages; characters that Windows' western alphabet lacks become question marks."""
    count = len(pages)
    kids = " ".join(f"{5 + 2 * index} 0 R" for index in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} /MediaBox [0 0 {WIDTH} {HEIGHT}] >>".encode(),
        _font("Helvetica"),
        _font("Helvetica-Bold"),
    ]
    for index, texts in enumerate(pages):
        content = zlib.compress(b"\n".join(_drawn(text) for text in texts))
        fonts = "<< /Font << /F1 3 0 R /F2 4 0 R >> >>"
        objects.append(f"<< /Type /Page /Parent 2 0 R /Resources {fonts} /Contents {6 + 2 * index} 0 R >>".encode())
        head = f"<< /Length {len(content)} /Filter /FlateDecode >>".encode()
        objects.append(head + b"\nstream\n" + content + b"\nendstream")
    objects.append(b"<< /Title " + _string(title) + b" >>")
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    written, places = b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size = len(objects) + 1
    trailer = b"trailer\n<< /Size %d /Root 1 0 R /Info %d 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        len(objects),
        len(written),
    )
    return written + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


def _font(name: str) -> bytes:
    return f"<< /Type /Font /Subtype /Type1 /BaseFont /{name} /Encoding /WinAnsiEncoding >>".encode()


def _drawn(text: Text) -> bytes:
    x = text.x - _length(text) if text.right else text.x
    place = f"BT /F{2 if text.bold else 1} {text.size:g} Tf {x:.2f} {HEIGHT - text.y:.2f} Td ".encode()
    return place + _string(text.text) + b" Tj ET"


def _length(text: Text) -> float:
    return sum(WIDTHS.get(character, 556) for character in text.text) * text.size / 1000


def _string(text: str) -> bytes:
    encoded = text.encode("cp1252", "replace")
    return b"(" + encoded.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)") + b")"
