#!/bin/bash
# Makes a fresh VM train: installs the runtime from the bucket, sets the guest's own power-off
# timer, starts the trainer. Compute Engine runs it as root at every boot; it may run twice.
#
# Reads from the metadata server: ss-job, ss-bucket, ss-interval-end, ss-shutdown-grace-s.
# Expects in the bucket: runtime/*.whl, and perhaps jobs/<job>/source/requirements.txt.
# SS_ROOT (a folder) and SS_DRY_RUN=1 (print instead of systemctl and poweroff) are for tests.
set -euo pipefail

readonly ROOT="${SS_ROOT:-}"
readonly HOME_DIR="${ROOT}/opt/smartscheduler"
readonly UNITS="${ROOT}/etc/systemd/system"
readonly HOST="${GCE_METADATA_HOST:-metadata.google.internal}"
readonly PYTHON="${SS_PYTHON:-python3}"

log() { # log SEVERITY MESSAGE
  printf '{"severity": "%s", "message": "%s"}\n' "$1" "${2//\"/\'}"
}

act() { # what changes the running system
  if [[ "${SS_DRY_RUN:-}" == 1 ]]; then
    echo "would run: $*"
  else
    "$@"
  fi
}

attribute() { # attribute KEY: prints its value
  curl --silent --show-error --fail --retry 10 --retry-delay 1 --retry-connrefused \
    --noproxy '*' --header 'Metadata-Flavor: Google' \
    "http://${HOST}/computeMetadata/v1/instance/attributes/$1"
}

on_exit() { # a VM that cannot train must not burn on
  local code="$1"
  [[ "${code}" == 0 ]] && return
  log ERROR "startup failed (exit code ${code}): the VM powers off. The lines above say why; mend the bucket or the image, then the control plane makes a new VM."
  act systemctl poweroff
}
trap 'on_exit $?' EXIT

fetch() { # fetch BUCKET NAME TARGET: copies an object or all below a prefix into a folder
  local bucket="$1" name="$2" target="$3"
  mkdir -p "${target}"
  case "${bucket}" in
    gs://*) gcloud storage cp --quiet --recursive "${bucket}/${name}" "${target}/" ;;
    file://*) cp -r "${bucket#file://}/${name}" "${target}/" ;;
    *)
      log ERROR "expected ss-bucket gs://NAME or file:///PATH, found ${bucket}"
      return 1
      ;;
  esac
}

# The guest's own timer comes first, so that it holds whatever fails below. It looks at the
# metadata each minute, because a running interval may be extended.
install_power_off_timer() {
  mkdir -p "${HOME_DIR}/bin" "${UNITS}"
  cat >"${HOME_DIR}/bin/power-off-when-over" <<'SCRIPT'
#!/bin/bash
# Powers the VM off once its interval's end plus grace has passed.
set -euo pipefail
host="${GCE_METADATA_HOST:-metadata.google.internal}"
attribute() {
  curl --silent --fail --max-time 10 --noproxy '*' --header 'Metadata-Flavor: Google' \
    "http://${host}/computeMetadata/v1/instance/attributes/$1"
}
# What was last heard counts if the metadata server does not answer.
state=/run/smartscheduler-interval-end
# So it does if it says `now`, which is a wish and no time: the runtime ends by itself.
heard="$(attribute ss-interval-end || echo now)"
[[ "${heard}" == now ]] || echo "${heard}" >"${state}"
[[ -f "${state}" ]] || exit 0
end="$(<"${state}")"
grace_s="$(attribute ss-shutdown-grace-s || echo 600)"
if (($(date +%s) >= $(date --date "${end}" +%s) + ${grace_s%.*})); then
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

install_runtime() { # install_runtime BUCKET JOB: skipped if just this is installed already
  local bucket="$1" job="$2" stage="${HOME_DIR}/stage" wheel requirements digest
  local -a pip=("${HOME_DIR}/venv/bin/python" -m pip install --quiet --disable-pip-version-check)
  rm -rf "${stage}"
  fetch "${bucket}" runtime "${stage}"
  wheel="$(find "${stage}/runtime" -name '*.whl' | sort | tail -n 1)"
  if [[ -z "${wheel}" ]]; then
    log ERROR "expected a wheel in ${bucket}/runtime, found none: upload it with the deployment"
    return 1
  fi
  requirements="${stage}/requirements.txt"
  # Most jobs have none; one that is needed but cannot be read shows as a failing import.
  fetch "${bucket}" "jobs/${job}/source/requirements.txt" "${stage}" 2>/dev/null || touch "${requirements}"
  digest="$(cat "${wheel}" "${requirements}" | sha256sum | cut -d' ' -f1)"
  if [[ -f "${HOME_DIR}/installed" && "$(<"${HOME_DIR}/installed")" == "${digest}" ]]; then
    log INFO "the runtime is installed already"
    return
  fi
  # The image's own torch is seen: installing another would take minutes.
  [[ -x "${HOME_DIR}/venv/bin/python" ]] || "${PYTHON}" -m venv --system-site-packages "${HOME_DIR}/venv"
  "${pip[@]}" "${wheel}[vm]"
  "${pip[@]}" --requirement "${requirements}"
  echo "${digest}" >"${HOME_DIR}/installed"
  log INFO "installed $(basename "${wheel}")"
}

install_trainer() {
  cat >"${HOME_DIR}/bin/after-trainer" <<'SCRIPT'
#!/bin/bash
# Run by systemd when the trainer has ended: powers the VM off, unless the runtime crashed by
# a signal; systemd starts it again then, and powers off itself if that happens too often.
set -euo pipefail
[[ "${SERVICE_RESULT:-}" == signal || "${SERVICE_RESULT:-}" == core-dump ]] && exit 0
systemctl poweroff
SCRIPT
  chmod 755 "${HOME_DIR}/bin/after-trainer"
  "${HOME_DIR}/venv/bin/python" -c 'import importlib.resources as r; print(
    r.files("vm_runtime").joinpath("trainer.service").read_text(), end="")' \
    >"${UNITS}/smartscheduler-trainer.service"
  act systemctl daemon-reload
  # Not waited for: the job runs on after this script.
  act systemctl start --no-block smartscheduler-trainer.service
}

main() {
  local bucket job
  install_power_off_timer
  bucket="$(attribute ss-bucket)"
  job="$(attribute ss-job)"
  log INFO "setting up for job ${job}"
  install_runtime "${bucket}" "${job}"
  install_trainer
  log INFO "the trainer is started"
}

main "$@"
