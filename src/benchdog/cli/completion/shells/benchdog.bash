# Completion of benchdog in bash.
_benchdog() {
    local IFS=$'\n'
    COMPREPLY=($(BENCHDOG_COMPLETE=bash BENCHDOG_LINE="${COMP_LINE:0:COMP_POINT}" \
        BENCHDOG_WORD="${COMP_WORDS[COMP_CWORD]}" "$1"))
    if [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *= ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _benchdog benchdog
