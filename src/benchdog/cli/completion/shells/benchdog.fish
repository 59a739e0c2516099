# Completion of benchdog in fish.
function __benchdog_complete
    set -l words (commandline -opc)
    set -lx BENCHDOG_COMPLETE fish
    set -lx BENCHDOG_WORDS (string join \n -- $words | string collect)
    set -lx BENCHDOG_WORD (commandline -ct)
    set -l program $words[1]
    set -l found ($program)
    if test (count $found) -gt 0
        printf '%s\n' $found
    else
        __fish_complete_path (commandline -ct)
    end
end
complete -c benchdog -f -a '(__benchdog_complete)'
