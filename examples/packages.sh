# ===- packages.sh - The Debian packages that Quern is built and tested with -----------------------===#
#
# Part of the Quern project, under the Apache License v2.0 with LLVM Exceptions.
# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#
# ===----------------------------------------------------------------------------------------------===#
# Sourced by examples/quickstart.sh and test/run.sh; the one place with the list.

QUERN_PACKAGES="clang-22 lld-22 llvm-22-dev llvm-22-tools libmlir-22-dev mlir-22-tools libomp-22-dev
  g++ cmake ninja-build ccache zlib1g-dev libzstd-dev nlohmann-json3-dev libcli11-dev libgtest-dev
  python3 python3-numpy"

# quern_missing_packages [PACKAGE...]: those of the list, and of the arguments, that are not installed.
quern_missing_packages() {
  for package in $QUERN_PACKAGES "$@"; do
    case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null)" in
      *"ok installed") ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

# quern_install_packages [PACKAGE...]: installs what is missing, as root or through sudo. Fails, and
# says which packages are missing, where neither is possible.
quern_install_packages() {
  if ! command -v dpkg-query >/dev/null; then
    echo "This is not Debian (no dpkg). Install the equivalents of: $(echo $QUERN_PACKAGES "$@")" >&2
    return 1
  fi
  missing=$(quern_missing_packages "$@")
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" -eq 0 ]; then
    as_root=env
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    as_root=sudo
  elif command -v sudo >/dev/null && [ -t 0 ]; then
    as_root=sudo # it asks for the password
  else
    echo "These packages are missing, and installing them needs root: $missing" >&2
    echo "Run as root: apt-get update && apt-get install $missing" >&2
    return 1
  fi
  echo "Installing: $missing"
  # shellcheck disable=SC2086
  $as_root apt-get update -q &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing ||
    { echo "apt-get could not install: $missing" >&2; return 1; }
}
