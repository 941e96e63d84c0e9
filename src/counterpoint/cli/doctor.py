"""``counterpoint doctor``."""

from __future__ import annotations

from counterpoint.cli.options import AsJson
from counterpoint.cli.terminal import err, out, print_json, table


def doctor(as_json: AsJson = False) -> None:
    """Say what is installed and what this machine offers; paste it into a bug report."""
    from counterpoint.apps.doctor import examine

    found = examine()
    if as_json:
        print_json(found)
        return
    out.print(table(("machine", ""), list(found["machine"].items())))
    packages = [item for item in found["packages"].items() if not item[0].startswith("fontpkg-")]
    out.print(table(("package", "version"), packages))
    extras = [
        [name, "installed" if not row["missing"] else f"missing {', '.join(row['missing'])}"]
        for name, row in found["extras"].items()
    ]
    out.print(table(("extra", ""), extras))
    out.print(table(("built-in data", ""), list(found["data"].items())))
    for row in found["extras"].values():
        if row["missing"]:
            err.print(f"To add it: {row['install']}", soft_wrap=True, markup=False)
