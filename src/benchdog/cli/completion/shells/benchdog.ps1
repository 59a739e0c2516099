# Completion of benchdog in PowerShell.
Register-ArgumentCompleter -Native -CommandName benchdog -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $before = @($commandAst.CommandElements | Where-Object { $_.Extent.EndOffset -lt $cursorPosition })
    $line = (($before | ForEach-Object { $_.Extent.Text }) + "$wordToComplete") -join ' '
    $env:_BENCHDOG_COMPLETE = 'complete_fish'
    $env:_TYPER_COMPLETE_FISH_ACTION = 'get-args'
    $env:_TYPER_COMPLETE_ARGS = $line.Replace('\', '\\')
    try {
        & $commandAst.GetCommandName() | Where-Object { $_ } | ForEach-Object {
            $value, $help = $_ -split "`t", 2
            if (-not $help) { $help = $value }
            [System.Management.Automation.CompletionResult]::new($value, $value, 'ParameterValue', $help)
        }
    } finally {
        Remove-Item Env:_BENCHDOG_COMPLETE, Env:_TYPER_COMPLETE_FISH_ACTION, Env:_TYPER_COMPLETE_ARGS -ErrorAction Ignore
    }
}
