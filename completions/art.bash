# bash completion for art, made by `art completion bash`
_art() {
    local line=${COMP_LINE:0:COMP_POINT} current prefix="" breaks word
    local -a typed
    read -ra typed <<<"$line"
    [[ $line == *[[:space:]] ]] && typed+=("")
    current=${typed[${#typed[@]}-1]}
    # bash cuts words at these too, and completes only what comes after the last one
    breaks=${COMP_WORDBREAKS//[^@:=]/}
    [[ -n $breaks ]] && prefix=${current%"${current##*[$breaks]}"}
    COMPREPLY=()
    while IFS= read -r word; do
        [[ -n $word ]] && COMPREPLY+=("${word#"$prefix"}")
    done < <(
        COMP_WORDS="${typed[*]}" COMP_CWORD=$((${#typed[@]} - 1)) \
            _ART_COMPLETE=complete_bash "$1" 2>/dev/null
    )
    if [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == */ ]]; then
        compopt -o nospace 2>/dev/null
    fi
}
complete -o default -F _art art
