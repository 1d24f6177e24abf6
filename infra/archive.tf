# The source of the functions is staged by `terraform apply` itself: archive.json says which
# files, the fingerprint over them is known at plan time and names the object, so a change of
# any of them is a new object and a new deployment. A zip with main.py at its root cannot be
# made by the archive provider without a copy of the tree, so functions/archive.py writes it;
# it needs python3 and nothing else.
locals {
  _root = "${path.module}/.."

  _staging = jsondecode(file("${local._root}/functions/archive.json"))

  _included = toset(flatten([for each in local._staging.include : tolist(fileset(local._root, each))]))

  _excluded = toset(flatten([for each in local._staging.exclude : tolist(fileset(local._root, each))]))

  _staged = {
    for each in setsubtract(local._included, local._excluded) :
    lookup(local._staging.rename, each, each) => filesha256("${local._root}/${each}")
  }

  # Keys of a map come sorted, as functions/archive.py sorts them.
  archive_fingerprint = sha256(join("\n", [for name, digest in local._staged : "${name}:${digest}"]))

  _archive = "${path.module}/.build/functions-${local.archive_fingerprint}.zip"

  _version = regex("\"([^\"]+)\"", file("${local._root}/functions/_version.py"))[0]

  _wheel = "smartscheduler-${local._version}-py3-none-any.whl"

  # All that the wheel is made of.
  _wheel_fingerprint = sha256(join("\n", [
    for each in sort(setunion(
      fileset(local._root, "{functions,forecaster,vm_runtime}/**/*.{py,html,json,safetensors,service,sh}"),
      ["pyproject.toml"],
    )) : "${each}:${filesha256("${local._root}/${each}")}"
  ]))
}

resource "terraform_data" "archive" {
  triggers_replace = local.archive_fingerprint

  provisioner "local-exec" {
    command = "python3 '${local._root}/functions/archive.py' '${local._archive}' --expect ${local.archive_fingerprint}"
  }
}

resource "google_storage_bucket_object" "archive" {
  name   = "deploy/functions-${local.archive_fingerprint}.zip"
  bucket = google_storage_bucket.this.name
  source = local._archive
  # Else the provider compares with the local file, which a colleague's machine does not have.
  source_md5hash = base64encode(md5(local.archive_fingerprint))

  depends_on = [terraform_data.archive]
}

# What VMs install: the runtime as a wheel, built with pip as anybody would.
resource "terraform_data" "wheel" {
  triggers_replace = local._wheel_fingerprint

  provisioner "local-exec" {
    command = "python3 -m pip wheel --quiet --no-deps --wheel-dir '${path.module}/.build' '${local._root}'"
  }
}

resource "google_storage_bucket_object" "wheel" {
  name           = "runtime/${local._wheel}"
  bucket         = google_storage_bucket.this.name
  source         = "${path.module}/.build/${local._wheel}"
  source_md5hash = base64encode(md5(local._wheel_fingerprint))

  depends_on = [terraform_data.wheel]
}
