# Completion of benchdog in fish.
function __benchdog_complete
    set -lx _BENCHDOG_COMPLETE complete_fish
    set -lx _TYPER_COMPLETE_FISH_ACTION get-args
    set -lx _TYPER_COMPLETE_ARGS (commandline -cp | string collect)
    set -l program (commandline -opc)[1]
    set -l candidates ($program)
    if test -n "$candidates"
        printf '%s\n' $candidates
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c benchdog -f -a '(__benchdog_complete)'
