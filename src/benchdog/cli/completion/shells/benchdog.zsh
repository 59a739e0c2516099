#compdef benchdog
# Completion of benchdog in zsh.
_benchdog() {
    local value help
    local -a pairs open
    while IFS=$'\t' read -r value help; do
        if [[ -z $value ]]; then
            continue
        elif [[ $value == *= ]]; then
            open+=("$value")
        else
            pairs+=("${value//:/\\:}:$help")
        fi
    done < <(_BENCHDOG_COMPLETE=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
        _TYPER_COMPLETE_ARGS="${words[1,CURRENT-1]} $PREFIX" "${words[1]}")
    (( $#pairs )) && _describe benchdog pairs
    (( $#open )) && compadd -S '' -a open
    (( $#pairs + $#open )) || _files
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _benchdog benchdog
