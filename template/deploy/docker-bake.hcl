# The settings of all images; slipway-ops adds a target for each member with a Dockerfile. An environment variable of the
# same name sets another base image, for example from a mirror or with a digest.

variable "PYTHON_VERSION" {} # given by slipway-ops, from [tool.slipway] in pyproject.toml

variable "PYTHON_IMAGE" {
  default = "python:${PYTHON_VERSION}-slim"
}

variable "NODE_IMAGE" {
  default = "node:24-slim"
}

variable "CADDY_IMAGE" {
  default = "caddy:2"
}

target "_image" {
  context = "."
  args    = { SOURCE_DATE_EPOCH = "0" } # no time and no commit: the same inputs make the same image
}

target "_python" {
  inherits = ["_image"]
  args     = { PYTHON_IMAGE = PYTHON_IMAGE }
}

target "_web" {
  inherits = ["_image"]
  args     = { NODE_IMAGE = NODE_IMAGE, CADDY_IMAGE = CADDY_IMAGE }
}
