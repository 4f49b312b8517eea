# Sourced by the recipe's scripts. Turns `--name value` into the shell variable `name`.
#
# Only variables declared before this file is sourced are options; `--a-b` is the same as `--a_b`, `--name=value` the
# same as `--name value`. A variable whose default is `true` or `false` takes nothing else. `--help` (or -h) prints the
# comment block at the top of the calling script. What follows the options stays in "$@"; `--` ends them.

_fail_option() {
  echo "error: $1" >&2
  exit 2
}

_print_help() {
  awk 'NR == 1 && /^#!/ { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "$0"
}

while [ $# -gt 0 ]; do
  case "$1" in
    -h | --help)
      _print_help
      exit 0
      ;;
    --)
      shift
      break
      ;;
    --*)
      _name=${1#--}
      case "$_name" in
        *=*)
          _value=${_name#*=}
          _name=${_name%%=*}
          _taken=1
          ;;
        *)
          [ $# -ge 2 ] || _fail_option "option $1 needs a value (--help lists the options)"
          _value=$2
          _taken=2
          ;;
      esac
      _name=${_name//-/_}
      [[ "$_name" =~ ^[a-zA-Z][a-zA-Z0-9_]*$ ]] && [ -n "${!_name+declared}" ] ||
        _fail_option "unknown option --$_name (--help lists the options)"
      case "${!_name}" in
        true | false)
          [ "$_value" = true ] || [ "$_value" = false ] ||
            _fail_option "option --$_name takes true or false, not '$_value'"
          ;;
      esac
      printf -v "$_name" '%s' "$_value"
      shift "$_taken"
      ;;
    -?*) _fail_option "unknown option $1 (--help lists the options)" ;;
    *) break ;;
  esac
done
unset _name _value _taken
true
