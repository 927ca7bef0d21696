"""The refs, releases and assets of a repository on GitHub."""

from __future__ import annotations

import hashlib

from unit.github.hub import Answer, Call, Document, Hub, Refusal, endpoint, of
from unit.github.published import TIME, URL, filled


@endpoint("GET", "/git/ref/{ref}")
def _ref(hub: Hub, call: Call) -> Answer:
    name = f"refs/{call.values['ref']}"
    if name not in hub.refs:
        raise Refusal(404, "Not Found")
    return Answer(200, _as_ref(hub, name))


@endpoint("POST", "/git/refs")
def _new_ref(hub: Hub, call: Call) -> Answer:
    name = call.body["ref"]
    if name in hub.refs:
        raise Refusal(422, "Reference already exists")
    hub.refs[name] = call.body["sha"]
    return Answer(201, _as_ref(hub, name))


def _as_ref(hub: Hub, name: str) -> Document:
    target = {"type": "commit", "sha": hub.refs[name], "url": URL}
    return filled("git-ref", ref=name, object=target)


@endpoint("GET", "/releases")
def _releases(hub: Hub, call: Call) -> Answer:
    return Answer(200, [_release(hub, call, each) for each in reversed(hub.releases.values())])


@endpoint("GET", "/releases/tags/{tag}")
def _release_of_tag(hub: Hub, call: Call) -> Answer:
    for each in hub.releases.values():  # a draft is not found by its tag
        if each["tag_name"] == call.values["tag"] and not each["draft"]:
            return Answer(200, _release(hub, call, each))
    raise Refusal(404, "Not Found")


@endpoint("GET", "/releases/{release_id}")
def _one_release(hub: Hub, call: Call) -> Answer:
    return Answer(200, _release(hub, call, of(hub.releases, call.number("release_id"))))


@endpoint("POST", "/releases")
def _new_release(hub: Hub, call: Call) -> Answer:
    made: Document = {"name": None, "body": None, "draft": False, "prerelease": False}
    made |= {"target_commitish": "main", "id": next(hub.numbers)}
    return _keep_release(hub, call, made | call.body, 201)


@endpoint("PATCH", "/releases/{release_id}")
def _change_release(hub: Hub, call: Call) -> Answer:
    found = of(hub.releases, call.number("release_id"))
    return _keep_release(hub, call, found | call.body, 200)


def _keep_release(hub: Hub, call: Call, release: Document, status: int) -> Answer:
    """Stores a release: drafts may share a tag, releases may not; adds a missing tag."""
    others = [each for each in hub.releases.values() if each["id"] != release["id"]]
    if not release["draft"]:
        if any(o["tag_name"] == release["tag_name"] and not o["draft"] for o in others):
            raise Refusal(422, "Validation Failed", _taken("Release", "tag_name"))
        target = str(release["target_commitish"])
        commit = hub.refs.get(f"refs/heads/{target}", target)
        hub.refs.setdefault(f"refs/tags/{release['tag_name']}", commit)
    hub.releases[release["id"]] = release
    return Answer(status, _release(hub, call, release))


def _release(hub: Hub, call: Call, release: Document) -> Document:
    place = f"/repos/{hub.name}/releases/{release['id']}"
    return filled(
        "release",
        **{k: v for k, v in release.items() if k in filled("release") or k == "body"},
        url=call.base + place,
        upload_url=f"{call.uploads}{place}/assets{{?name,label}}",
        published_at=None if release["draft"] else TIME,
        assets=_assets_of(hub, release["id"]),
    )


@endpoint("GET", "/releases/{release_id}/assets")
def _assets(hub: Hub, call: Call) -> Answer:
    return Answer(200, _assets_of(hub, of(hub.releases, call.number("release_id"))["id"]))


def _assets_of(hub: Hub, release: int) -> list[Document]:
    return [
        {k: v for k, v in asset.items() if k != "release"}
        for asset in hub.assets.values()
        if asset["release"] == release
    ]


@endpoint("POST", "/releases/{release_id}/assets")
def _upload(hub: Hub, call: Call) -> Answer:
    release = of(hub.releases, call.number("release_id"))
    name = call.query["name"]
    if any(asset["name"] == name for asset in _assets_of(hub, release["id"])):
        raise Refusal(422, "Validation Failed", _taken("ReleaseAsset", "name"))
    made = filled("release-asset", id=next(hub.numbers), name=name, state="uploaded")
    made |= {"size": len(call.body), "content_type": call.kind, "label": call.query.get("label")}
    made["digest"] = f"sha256:{hashlib.sha256(call.body).hexdigest()}"
    hub.assets[made["id"]] = made | {"release": release["id"]}
    hub.files[made["id"]] = call.body
    return Answer(201, made)


@endpoint("DELETE", "/releases/assets/{asset_id}")
def _delete_asset(hub: Hub, call: Call) -> Answer:
    del hub.assets[of(hub.assets, call.number("asset_id"))["id"]]
    return Answer(204)


@endpoint("GET", "/attestations/{subject_digest}")
def _attestations(hub: Hub, call: Call) -> Answer:
    digest = call.values["subject_digest"]
    envelope = {"payload": digest}
    bundle = {"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json"}
    found = {"bundle": bundle | {"verificationMaterial": {}, "dsseEnvelope": envelope}}
    return Answer(200, {"attestations": [found] if digest in hub.attested else []})


@endpoint("GET", "/actions/variables/{name}")
def _variable(hub: Hub, call: Call) -> Answer:
    name = call.values["name"]
    if name not in hub.variables:
        raise Refusal(404, "Not Found")
    return Answer(200, filled("actions-variable", name=name, value=hub.variables[name]))


def _taken(resource: str, name: str) -> dict[str, str]:
    return {"resource": resource, "code": "already_exists", "field": name}
