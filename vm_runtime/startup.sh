#!/bin/bash
# Makes a fresh VM train: sets the guest's own power-off timer, installs the runtime and the
# user's requirements, starts the trainer. Compute Engine runs it as root at every boot; it may
# be killed anywhere and run again. docs/vm.md tells the whole way from boot to power-off.
#
# Needs bash, curl and Python 3.11 or newer with venv; no gcloud, which takes seconds per call.
# Reads from the metadata server: ss-job, ss-bucket, ss-interval-end, ss-shutdown-grace-s,
# ss-data-disk.
# Expects in the bucket: runtime/*.whl, and perhaps jobs/<job>/source/requirements.txt.
# Leaves in the bucket: jobs/<job>/environment/, what it built, for the job's next VM.
# SS_ROOT (a folder) and SS_DRY_RUN=1 (print instead of changing the system) are for tests.
set -euo pipefail
exec 3>&1 # the log, also from within `$(...)`

readonly ROOT="${SS_ROOT:-}"
readonly HOME_DIR="${ROOT}/opt/smartscheduler"
readonly UNITS="${ROOT}/etc/systemd/system"
readonly STAGE="${HOME_DIR}/stage"
readonly VENV="${HOME_DIR}/venv"
readonly INSTALLED="${HOME_DIR}/installed"
readonly ACCOUNT=smartscheduler
readonly METADATA="http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1"
readonly STORAGE="${STORAGE_EMULATOR_HOST:-https://storage.googleapis.com}"
readonly PYTHON="${SS_PYTHON:-python3}"
readonly NOT_FOUND=4

log() { # log SEVERITY EVENT MESSAGE: one line as the runtime writes them
  local message="${3//\\/\\\\}"
  message="${message//\"/\\\"}"
  message="${message//$'\n'/\\n}"
  message="${message//[$'\t\r']/ }"
  printf '{"severity": "%s", "message": "%s", "time": "%s", "job_id": "%s", "event": "%s", "logger": "startup.sh"}\n' \
    "$1" "${message}" "$(date --utc +%FT%TZ)" "${JOB:-}" "$2" >&3
}

act() { # what changes the running system
  if [[ "${SS_DRY_RUN:-}" == 1 ]]; then
    echo "would run: $*"
  else
    "$@"
  fi
}

metadata() { # metadata KEY: prints its value
  curl --silent --show-error --fail --retry 10 --retry-delay 1 --retry-connrefused \
    --noproxy '*' --header 'Metadata-Flavor: Google' "${METADATA}/$1"
}

on_exit() { # a VM that cannot train must not burn on
  local code="$1"
  [[ "${code}" == 0 ]] && return
  log ERROR startup_failed "startup failed (exit code ${code}): the VM powers off. The lines above say why; mend the bucket or the image, then the control plane makes a new VM."
  act systemctl poweroff
}
trap 'on_exit $?' EXIT

# ---------------------------------------------------------------------------- bucket

authorization() { # prints the header that Cloud Storage wants; its emulator wants none
  if [[ -n "${STORAGE_EMULATOR_HOST:-}" ]]; then
    echo 'X-Emulator: no credentials'
    return
  fi
  printf 'Authorization: Bearer %s' "$(metadata instance/service-accounts/default/token |
    sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')"
}

storage() { # storage PATH FILE: one request of the JSON API; NOT_FOUND if there is no object
  local status
  # The token comes through standard input: arguments are for all to see.
  status="$(authorization | curl --silent --show-error --location --retry 5 --retry-connrefused \
    --header @- --output "$2" --write-out '%{http_code}' "${STORAGE}/storage/v1/b/$1")"
  case "${status}" in
    2??) return 0 ;;
    404) return "${NOT_FOUND}" ;;
    *)
      log ERROR bucket_refused "expected ${STORAGE}/storage/v1/b/$1, found status ${status}: $(head -c 300 "$2"). Does the VM's service account have roles/storage.objectUser on the bucket?"
      return 1
      ;;
  esac
}

escaped() { # escaped NAME: an object's name as one part of a path
  local name="${1//%/%25}"
  name="${name//\//%2F}"
  name="${name//+/%2B}"
  printf '%s' "${name// /%20}"
}

fetch() { # fetch NAME FILE: copies one object; NOT_FOUND if there is none
  case "${BUCKET}" in
    gs://*) storage "${BUCKET#gs://}/o/$(escaped "$1")?alt=media" "$2" ;;
    file://*)
      [[ -f "${BUCKET#file://}/$1" ]] || return "${NOT_FOUND}"
      cp "${BUCKET#file://}/$1" "$2"
      ;;
    *)
      log ERROR bad_bucket "expected ss-bucket gs://NAME or file:///PATH, found ${BUCKET}"
      return 1
      ;;
  esac
}

newest_wheel() { # prints the name of the newest object runtime/*.whl, or nothing
  local names="${STAGE}/names"
  case "${BUCKET}" in
    gs://*) storage "${BUCKET#gs://}/o?prefix=runtime/&fields=items(name)" "${names}" || return 1 ;;
    file://*) find "${BUCKET#file://}/runtime" -name '*.whl' -printf '"name":"runtime/%f"\n' \
      >"${names}" 2>/dev/null || true ;;
  esac
  grep --only-matching '"name" *: *"runtime/[^"/]*\.whl"' "${names}" | cut --delimiter='"' --fields=4 |
    sort --version-sort | tail --lines=1 || true
}

# ---------------------------------------------------------------------------- power-off

# The guest's own timer comes first, so that it holds whatever fails below. It looks at the
# metadata each minute, because a running interval may be extended.
install_power_off_timer() {
  mkdir -p "${HOME_DIR}/bin" "${UNITS}"
  cat >"${HOME_DIR}/bin/power-off-when-over" <<'SCRIPT'
#!/bin/bash
# Powers the VM off once its interval's end plus grace has passed, whatever hangs.
set -euo pipefail
host="${GCE_METADATA_HOST:-metadata.google.internal}"
attribute() {
  curl --silent --fail --max-time 10 --noproxy '*' --header 'Metadata-Flavor: Google' \
    "http://${host}/computeMetadata/v1/instance/attributes/$1"
}
# What was last heard counts if the metadata server does not answer; if it never did, this look.
state="${SS_ROOT:-}/run/smartscheduler-interval-end"
mkdir -p "${state%/*}"
known="$(cat "${state}" 2>/dev/null || echo "never $(date --utc +%FT%TZ)")"
heard="$(attribute ss-interval-end || true)"
case "${heard}" in
  '') ;;
  # `now` is a wish and no time: it counts from the look that heard it first.
  now) [[ "${known}" == now\ * ]] || known="now $(date --utc +%FT%TZ)" ;;
  *) known="at ${heard}" ;;
esac
echo "${known}" >"${state}"
end_s="$(date --date "${known#* }" +%s)"
grace_s="$(attribute ss-shutdown-grace-s || echo 600)"
if (($(date +%s) >= end_s + ${grace_s%.*})); then
  echo '{"severity": "CRITICAL", "event": "power_off_forced", "logger": "power-off-when-over", "message": "still up '"${grace_s}"' s after the interval: the VM powers off"}'
  systemctl poweroff
fi
SCRIPT
  chmod 755 "${HOME_DIR}/bin/power-off-when-over"
  cat >"${UNITS}/smartscheduler-power-off.service" <<UNIT
[Unit]
Description=Powers the VM off some minutes after its interval

[Service]
Type=oneshot
EnvironmentFile=-/etc/smartscheduler.env
StandardOutput=journal+console
ExecStart=/opt/smartscheduler/bin/power-off-when-over
UNIT
  cat >"${UNITS}/smartscheduler-power-off.timer" <<UNIT
[Unit]
Description=Looks each minute whether the VM's interval is over

[Timer]
OnBootSec=60
OnUnitActiveSec=60
AccuracySec=5

[Install]
WantedBy=timers.target
UNIT
  act systemctl daemon-reload
  act systemctl enable --now smartscheduler-power-off.timer
}

# ---------------------------------------------------------------------------- environment

fetch_runtime() { # sets WHEEL, REQUIREMENTS and DIGEST
  local name status=0
  rm -rf "${STAGE}"
  mkdir -p "${STAGE}"
  name="$(newest_wheel)"
  if [[ -z "${name}" ]]; then
    log ERROR no_wheel "expected a wheel in ${BUCKET}/runtime, found none: upload it with the deployment"
    return 1
  fi
  WHEEL="${STAGE}/${name##*/}"
  fetch "${name}" "${WHEEL}"
  REQUIREMENTS="${STAGE}/requirements.txt"
  fetch "jobs/${JOB}/source/requirements.txt" "${REQUIREMENTS}" || status=$?
  case "${status}" in
    0) ;;
    "${NOT_FOUND}") : >"${REQUIREMENTS}" ;; # most jobs have none
    *) return "${status}" ;;
  esac
  # The wheel is importable as it is; this module needs nothing but the standard library.
  DIGEST="$(PYTHONPATH="${WHEEL}" "${PYTHON}" -m vm_runtime.environment digest \
    --home "${HOME_DIR}" --wheel "${WHEEL}" --requirements "${REQUIREMENTS}")"
}

works() { # whether the environment imports the runtime
  "${VENV}/bin/python" -c 'import vm_runtime.launch' 2>"${STAGE}/import-error"
}

restore_environment() { # takes what an earlier VM of this job built; whatever is wrong: build anew
  local pointer="${STAGE}/pointer" archive="${STAGE}/environment.tar.gz" digest sha256 status=0
  fetch "jobs/${JOB}/environment/LATEST" "${pointer}" || status=$?
  [[ "${status}" == "${NOT_FOUND}" ]] && return 1
  read -r digest sha256 <"${pointer}" || true
  if [[ "${digest:-}" != "${DIGEST}" ]]; then
    log INFO environment_other "the job's stored environment is for another wheel, Python or requirements"
    return 1
  fi
  status=0
  fetch "jobs/${JOB}/environment/${digest}-${sha256}.tar.gz" "${archive}" || status=$?
  if [[ "${status}" != 0 ]] || ! echo "${sha256}  ${archive}" | sha256sum --check --status; then
    log WARNING environment_broken "the job's stored environment is missing or broken (sha256 is not ${sha256}): ignored, built anew"
    return 1
  fi
  if ! tar --extract --gzip --file "${archive}" --directory "${HOME_DIR}" || ! works; then
    log WARNING environment_broken "the job's stored environment does not work here: ignored, built anew: $(tail --lines=1 "${STAGE}/import-error" 2>/dev/null || true)"
    rm -rf "${VENV}"
    return 1
  fi
  rm -f "${archive}"
  log INFO environment_restored "the environment that an earlier VM built is unpacked"
}

build_environment() {
  local -a pip=("${VENV}/bin/python" -m pip install --quiet --disable-pip-version-check --no-input)
  # The image's own torch is seen: installing another would take minutes.
  "${PYTHON}" -m venv --system-site-packages "${VENV}"
  "${pip[@]}" "${WHEEL}[vm]"
  if ! "${pip[@]}" --requirement "${REQUIREMENTS}" 2>"${STAGE}/pip-error"; then
    log ERROR requirements_failed "requirements.txt cannot be installed: $(tail --lines=5 "${STAGE}/pip-error")"
    SS_FAILURE="requirements.txt cannot be installed: $(tail --lines=5 "${STAGE}/pip-error")" \
      "${VENV}/bin/python" -m vm_runtime.post_mortem || true
    return 1
  fi
  if ! works; then
    log ERROR environment_broken "the runtime cannot be imported after installation: $(tail --lines=3 "${STAGE}/import-error")"
    return 1
  fi
  log INFO environment_built "installed $(basename "${WHEEL}") and $(grep --count '[^[:space:]]' "${REQUIREMENTS}" || true) requirement(s)"
}

install_environment() { # sets BUILT=1 if it was built here
  fetch_runtime
  if [[ -f "${INSTALLED}" && "$(<"${INSTALLED}")" == "${DIGEST}" ]]; then
    log INFO environment_installed "the runtime is installed already"
    return
  fi
  # The mark goes first and comes last: what a kill leaves in between is no environment.
  rm -rf "${INSTALLED}" "${VENV}"
  if ! restore_environment; then
    build_environment
    BUILT=1
  fi
  echo "${DIGEST}" >"${INSTALLED}"
}

publish_environment() { # while the trainer runs already; a failure costs the next VM some time
  nice "${VENV}/bin/python" -m vm_runtime.environment publish --bucket "${BUCKET}" --job "${JOB}" \
    --home "${HOME_DIR}" --digest "${DIGEST}" ||
    log WARNING environment_not_stored "the environment could not be stored: the job's next VM builds it anew"
}

# ---------------------------------------------------------------------------- data disk

readonly DATA_DEVICE="${ROOT}/dev/disk/by-id/google-ss-data"
readonly DATA_FOLDER="${ROOT}/mnt/smartscheduler-data"

is_over() { # whether the VM has been told to stop, or its interval is over
  local end
  end="$(metadata instance/attributes/ss-interval-end || true)"
  [[ "${end}" == now ]] || { [[ -n "${end}" ]] && (($(date --date "${end}" +%s) <= $(date +%s))); }
}

wait_for_data_disk() { # in a move it comes after the VM: it is copied once the source is down
  local -i waited_s=0
  while [[ ! -e "${DATA_DEVICE}" ]]; do
    if is_over; then
      log WARNING data_disk_missing "the data disk did not come within the interval: the VM powers off, the control plane decides"
      act systemctl poweroff
      exit 0
    fi
    ((waited_s % 60)) || log INFO data_disk_awaited "waiting for the data disk, ${waited_s} s so far"
    sleep "${SS_POLL_S:-5}"
    waited_s+=5
  done
}

format_if_blank() { # never a disk on which anything is found
  local status=0
  blkid --probe "${DATA_DEVICE}" >/dev/null || status=$?
  if [[ "${status}" == 0 ]]; then
    log INFO data_disk_found "the data disk has a file system"
  elif [[ "${status}" == 2 ]] && cmp --silent --bytes=1048576 "${DATA_DEVICE}" /dev/zero; then
    log INFO data_disk_blank "the data disk is blank: it gets an ext4 file system"
    act mkfs.ext4 -q -m 0 "${DATA_DEVICE}"
  else
    log ERROR data_disk_unreadable "expected a blank data disk or a file system, found neither (blkid: ${status}): it is left as it is. Look at it from another VM"
    return 1
  fi
}

mount_data_disk() { # only if the control plane says that the job has one
  local keys
  keys="$(metadata instance/attributes/)" # a metadata server that is down must not mean "none"
  [[ $'\n'"${keys}"$'\n' == *$'\nss-data-disk\n'* ]] || return 0
  wait_for_data_disk
  mkdir -p "${DATA_FOLDER}"
  if ! mountpoint --quiet "${DATA_FOLDER}"; then
    format_if_blank
    act mount -o nodev,nosuid "${DATA_DEVICE}" "${DATA_FOLDER}"
    act chown "${ACCOUNT}:" "${DATA_FOLDER}"
  fi
  mkdir -p "${UNITS}/smartscheduler-trainer.service.d"
  cat >"${UNITS}/smartscheduler-trainer.service.d/data-disk.conf" <<UNIT
[Service]
Environment=SMARTSCHEDULER_DATA_DIR=/mnt/smartscheduler-data
UNIT
  log INFO data_disk_mounted "the data disk is at /mnt/smartscheduler-data"
}

# ---------------------------------------------------------------------------- trainer

install_trainer() {
  cat >"${HOME_DIR}/bin/after-trainer" <<'SCRIPT'
#!/bin/bash
# Run by systemd, as root, whenever the trainer has ended: reports a death without a word, then
# powers the VM off. It is not started again here: the control plane counts and decides.
set -uo pipefail
timeout 60 "${SS_ROOT:-}/opt/smartscheduler/venv/bin/python" -m vm_runtime.post_mortem
systemctl poweroff
SCRIPT
  chmod 755 "${HOME_DIR}/bin/after-trainer"
  "${VENV}/bin/python" -c 'import importlib.resources as r; print(
    r.files("vm_runtime").joinpath("trainer.service").read_text(), end="")' \
    >"${UNITS}/smartscheduler-trainer.service"
  getent passwd "${ACCOUNT}" >/dev/null ||
    act useradd --system --home-dir /var/lib/smartscheduler --shell /usr/sbin/nologin "${ACCOUNT}"
  mount_data_disk
  act systemctl daemon-reload
  # Not waited for: the job runs on after this script.
  act systemctl start --no-block smartscheduler-trainer.service
}

main() {
  install_power_off_timer
  BUCKET="$(metadata instance/attributes/ss-bucket)"
  JOB="$(metadata instance/attributes/ss-job)"
  log INFO setting_up "setting up for job ${JOB}"
  install_environment
  install_trainer
  log INFO trainer_started "the trainer is started, $((SECONDS)) s after this script"
  if [[ "${BUILT:-}" == 1 ]]; then
    publish_environment
  fi
}

main "$@"
