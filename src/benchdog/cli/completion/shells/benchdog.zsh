#compdef benchdog
# Completion of benchdog in zsh.
_benchdog() {
    local value help
    local -a pairs open
    while IFS=$'\t' read -r value help; do
        if [[ $value == *= ]]; then
            open+=("$value")
        else
            pairs+=("${value//:/\\:}:$help")
        fi
    done < <(BENCHDOG_COMPLETE=zsh BENCHDOG_WORDS="${(pj:\n:)words[1,CURRENT-1]}" \
        BENCHDOG_WORD="${(Q)PREFIX}" "${words[1]}")
    (( $#pairs )) && _describe benchdog pairs
    (( $#open )) && compadd -S '' -a open
    (( $#pairs + $#open )) || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _benchdog benchdog
