"""Points of the lattice and their links as GraphML, which Gephi, yEd, igraph and NetworkX read."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from index.errors import ParameterError
from index.questions.lattice import Cells, Group
from index.tokens.display import display

_NODE = {"group": "long", "population": "long", "ids": "string", "texts": "string"}
_EDGE = {"steps": "long", "coordinates": "long", "total": "long", "contact": "string"}


def write_graphml(cells: Cells, path: Path) -> None:
    """Write a node for each point of the groups, named by its first token's id, and an edge for each link.

    Texts are in their printable form: XML has no place for most control characters. ParameterError without steps.
    """
    if cells.dtype is None:
        raise ParameterError(f"the source is {cells.source}: it has no steps, so there is no lattice to write")
    root = ET.Element("graphml", xmlns="http://graphml.graphdrawing.org/xmlns")
    for kind, names in (("node", _NODE), ("edge", _EDGE)):
        for name, of in names.items():
            ET.SubElement(root, "key", {"id": name, "for": kind, "attr.name": name, "attr.type": of})
    graph = ET.SubElement(root, "graph", id="lattice", edgedefault="undirected")
    for number, group in enumerate(cells.groups, 1):
        _add_points(graph, number, group)
    for group in cells.groups:
        for link in group.links:
            edge = ET.SubElement(graph, "edge", source=f"n{link.a}", target=f"n{link.b}")
            _add_data(edge, {name: value for name in _EDGE if (value := getattr(link, name)) is not None})
    ET.indent(root)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _add_points(graph: ET.Element, number: int, group: Group) -> None:
    for tokens in group.points:
        node = ET.SubElement(graph, "node", id=f"n{min(tokens, key=lambda token: token.row).id}")
        texts = "  ".join(display(token.text, token.piece) for token in tokens)
        ids = " ".join(str(token.id) for token in tokens)
        _add_data(node, {"group": number, "population": len(tokens), "ids": ids, "texts": texts})


def _add_data(element: ET.Element, values: dict[str, object]) -> None:
    for name, value in values.items():
        ET.SubElement(element, "data", key=name).text = str(value)
